//! What a person at the host wants to know.

use serde_json::json;

use crate::parts::Parts;

impl Parts {
    /// The agent's status, for people: its members may change with any version.
    pub fn status(&self) -> serde_json::Value {
        let answer = self.keeper.decide();
        let gate = self.keeper.read(|gate| {
            json!({
                "permit": gate.permit().map(|held| json!({
                    "number": held.permit.number, "verdict": held.permit.verdict, "until": held.permit.until,
                })),
                "stops": gate.newest_stops(),
                "candidate": gate.candidate().map(|set| &set.version),
                "damaged": gate.damaged(),
            })
        });
        let shared = self.shared();
        let pass = shared.seen.values().map(|seen| seen.started.wall).max();
        json!({
            "product": self.config.product,
            "host": self.config.host,
            "enrolled": self.key.is_some(),
            "verdict": answer.decision.verdict,
            "reasons": answer.decision.reasons,
            "baseline": answer.baseline,
            "until": answer.decision.until,
            "gate": gate,
            "pass": pass,
            "watching": shared.watching,
            "processes": shared.processes,
            "contact": shared.contact,
            "trouble": shared.trouble,
            "agent": self.identity.agent.version,
        })
    }
}
