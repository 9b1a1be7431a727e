//! Whose turn it is to be written.
//!
//! Operators' requests wait for nobody but each other. Hosts take turns, and of one host's documents the
//! newest alone waits: a host that sends much delays itself, and nothing that holds a site is refused for
//! want of room.

use std::collections::{HashMap, VecDeque};

use manifests::fleet::ReportAnswer;
use manifests::id::HostId;

use super::{Reply, Report, WriteError, WriterCommand};

/// Requests of operators that may wait. Each is one that somebody with a token waits for.
const OPERATORS_MAX: usize = 4096;
/// Acknowledgements and file lists of one host that may wait.
const OF_HOST_MAX: usize = 64;
/// Bytes of one host's file lists that may wait.
const LISTS_BYTES_MAX: usize = 128 << 20;
/// Enrolments and questions whether the store can be written, that may wait.
const OTHERS_MAX: usize = 256;

/// What waits for one host.
#[derive(Debug, Default)]
struct OfHost {
    report: Option<(Box<Report>, Reply<ReportAnswer>)>,
    others: VecDeque<WriterCommand>,
    list_bytes: usize,
}

impl OfHost {
    fn pop(&mut self) -> Option<WriterCommand> {
        // A state before an acknowledgement: it may hold a site.
        if let Some((report, reply)) = self.report.take() {
            return Some(WriterCommand::Report(report, reply));
        }
        let command = self.others.pop_front();
        if let Some(WriterCommand::FileList { bytes, .. }) = &command {
            self.list_bytes = self.list_bytes.saturating_sub(bytes.len());
        }
        command
    }

    fn is_empty(&self) -> bool {
        self.report.is_none() && self.others.is_empty()
    }
}

/// What waits, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Nobody writes any more.
    closed: bool,
    pub(super) operators: VecDeque<WriterCommand>,
    hosts: HashMap<HostId, OfHost>,
    /// Hosts for which something waits, in the order of their turns.
    turns: VecDeque<HostId>,
    others: VecDeque<WriterCommand>,
    /// Whether the others' turn is next.
    others_next: bool,
}

impl Waiting {
    fn of_host(&mut self, host: &HostId) -> &mut OfHost {
        if !self.hosts.contains_key(host) {
            self.turns.push_back(host.clone());
        }
        self.hosts.entry(host.clone()).or_default()
    }

    /// Keeps the newer of two documents of a host. The other is told so.
    fn report(&mut self, report: Box<Report>, reply: Reply<ReportAnswer>) {
        let kept = &mut self.of_host(&report.host).report;
        let is_newer = |known: &Report| known.document.sequence() < report.document.sequence();
        let lost = match kept {
            Some((known, _)) if !is_newer(known) => reply,
            _ => match kept.replace((report, reply)) {
                Some((_, lost)) => lost,
                None => return,
            },
        };
        let _ = lost.send(Err(WriteError::Superseded));
    }

    /// Nobody writes any more: who waits is told so.
    pub(super) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }

    pub(super) fn take(&mut self, command: WriterCommand) -> Result<(), WriteError> {
        match command {
            _ if self.closed => return Err(WriteError::Closed),
            WriterCommand::Report(report, reply) => self.report(report, reply),
            WriterCommand::Acknowledge { ref host, .. } | WriterCommand::Handed { ref host, .. } => {
                let others = &mut self.of_host(&host.clone()).others;
                if others.len() >= OF_HOST_MAX {
                    return Err(WriteError::Full);
                }
                others.push_back(command);
            }
            WriterCommand::FileList { ref host, ref bytes, .. } => {
                let more = bytes.len();
                let waiting = self.of_host(&host.clone());
                if waiting.others.len() >= OF_HOST_MAX || waiting.list_bytes + more > LISTS_BYTES_MAX {
                    return Err(WriteError::Full);
                }
                waiting.list_bytes += more;
                waiting.others.push_back(command);
            }
            command if command.is_operators() => {
                if self.operators.len() >= OPERATORS_MAX {
                    return Err(WriteError::Full);
                }
                self.operators.push_back(command);
            }
            command => {
                if self.others.len() >= OTHERS_MAX {
                    return Err(WriteError::Full);
                }
                self.others.push_back(command);
            }
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> Option<WriterCommand> {
        if let Some(command) = self.operators.pop_front() {
            return Some(command);
        }
        self.others_next = !self.others_next;
        if self.others_next
            && let Some(command) = self.others.pop_front()
        {
            return Some(command);
        }
        self.next_of_hosts().or_else(|| self.others.pop_front())
    }

    fn next_of_hosts(&mut self) -> Option<WriterCommand> {
        while let Some(host) = self.turns.pop_front() {
            let Some(waiting) = self.hosts.get_mut(&host) else { continue };
            let command = waiting.pop();
            if waiting.is_empty() {
                self.hosts.remove(&host);
            } else {
                self.turns.push_back(host);
            }
            if command.is_some() {
                return command;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use manifests::digest::Digest;
    use manifests::evidence::{Cover, Heartbeat};
    use manifests::stop::Scope;
    use tokio::sync::oneshot;

    use super::*;
    use crate::queue::{AskedStop, Writer};

    fn host(name: &str) -> HostId {
        name.parse().unwrap()
    }

    fn report(name: &str, sequence: u64) -> (WriterCommand, oneshot::Receiver<Result<ReportAnswer, WriteError>>) {
        let (reply, answer) = oneshot::channel();
        let cover: Cover = serde_json::from_value(serde_json::json!({
            "product": "p", "host": name, "sequence": sequence, "boot_id": "b", "boot_ms": 1, "permit": 0,
            "wall": "2026-10-01T09:00:03.250Z", "pass_started": "2026-10-01T09:00:03.250Z", "configs": {},
            "agent": {"version": "0.1.0", "digest": Digest::of(b"a")}, "baseline": Digest::of(b"b"),
        }))
        .unwrap();
        let document = Heartbeat { cover, state: Digest::of(b"s"), since: sequence }.into();
        let report = Report { host: host(name), key: "k".into(), document, digest: Digest::of(b"d"), envelope: None };
        (WriterCommand::Report(Box::new(report), reply), answer)
    }

    fn stop() -> WriterCommand {
        let (reply, _) = oneshot::channel();
        let asked = AskedStop { scope: Scope::All, reason: String::new(), request: None };
        WriterCommand::Stop { asked, operator: String::new(), reply }
    }

    fn enrol() -> WriterCommand {
        let key = manifests::key::SigningKey::generate().unwrap().public().clone();
        WriterCommand::Enrol { token: Digest::of(b"t"), host: host("402206-ap1"), key, reply: oneshot::channel().0 }
    }

    fn named(command: Option<WriterCommand>) -> String {
        match command {
            Some(WriterCommand::Report(report, _)) => format!("{} {}", report.host, report.document.sequence()),
            Some(WriterCommand::Stop { .. }) => "stop".to_owned(),
            Some(WriterCommand::Enrol { .. }) => "enrol".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn hosts_take_turns_and_an_operator_waits_for_none_of_them() {
        let mut waiting = Waiting::default();
        for command in [report("402206-ap1", 1).0, report("402206-db1", 1).0, enrol(), report("372013-ap1", 1).0] {
            waiting.take(command).unwrap();
        }
        waiting.take(stop()).unwrap();
        let order: Vec<String> = (0..5).map(|_| named(waiting.next())).collect();
        assert_eq!(order, ["stop", "enrol", "402206-ap1 1", "402206-db1 1", "372013-ap1 1"]);
        assert_eq!(named(waiting.next()), "None");
    }

    #[test]
    fn of_one_hosts_documents_the_newest_alone_waits_whatever_the_order() {
        let mut waiting = Waiting::default();
        let mut answers = Vec::new();
        for sequence in [2, 5, 4] {
            let (command, answer) = report("402206-ap1", sequence);
            waiting.take(command).unwrap();
            answers.push(answer);
        }
        assert!(matches!(answers[0].try_recv(), Ok(Err(WriteError::Superseded))));
        assert!(matches!(answers[2].try_recv(), Ok(Err(WriteError::Superseded))));
        assert_eq!(named(waiting.next()), "402206-ap1 5");
        assert_eq!(named(waiting.next()), "None");
    }

    #[test]
    fn a_crowd_of_enrolments_is_refused_and_a_document_and_a_stop_are_not() {
        let mut waiting = Waiting::default();
        for _ in 0..OTHERS_MAX {
            waiting.take(enrol()).unwrap();
        }
        assert!(matches!(waiting.take(enrol()), Err(WriteError::Full)));
        waiting.take(report("402206-ap1", 1).0).unwrap();
        waiting.take(stop()).unwrap();
        assert_eq!(named(waiting.next()), "stop");
        let next: Vec<String> = (0..2).map(|_| named(waiting.next())).collect();
        assert!(next.contains(&"402206-ap1 1".to_owned()), "{next:?}");
    }

    #[tokio::test]
    async fn without_a_writer_nobody_waits() {
        let (writer, queue) = Writer::new();
        let asked = tokio::spawn({
            let writer = writer.clone();
            async move { writer.probe().await }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert!(matches!(asked.await.unwrap(), Err(WriteError::Closed)));
        assert!(matches!(writer.probe().await, Err(WriteError::Closed)));
    }
}
