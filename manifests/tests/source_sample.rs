//! The samples of `docs/baseline.md` are files that are read completely.

use manifests::baseline::{Encoding, Enforce, FactSource, Format, Reader, Reload, Requirement, Requires, SettingKind};
use manifests::source;
use manifests::time::{Span, Time};
use manifests::value::Expect;
use manifests::version::{Scheme, Version};

const BASELINE: &str = include_str!("data/source/baseline.toml");
const REGISTRY: &str = include_str!("data/source/registry.toml");

#[test]
fn every_key_of_the_sample_baseline_arrives() {
    let baseline = source::baseline(BASELINE).unwrap();
    assert_eq!(baseline.product.as_str(), "convenience-issuance");
    assert_eq!((baseline.version.to_string(), baseline.min_agent.to_string()), ("2023.7.2".into(), "0.1.0".into()));
    assert_eq!(baseline.gate.heartbeat, Span::from_s(30));
    assert_eq!(baseline.gate.permit_ttl, Span::from_s(1800));
    assert_eq!(baseline.gate.evidence_max_age, Span::from_s(600));
    assert_eq!(baseline.gate.verify_hold, Span::from_ms(250));
    assert_eq!(baseline.gate.expiry_grace, Span::from_s(14 * 86_400));

    let [linkage, print] = baseline.configs.as_slice() else { panic!("{:?}", baseline.configs) };
    assert_eq!(linkage.files, ["/etc/issuing/linkage.xml", "/etc/issuing/linkage.d/*.xml"]);
    assert_eq!(
        (linkage.format, linkage.encoding, linkage.reload),
        (Format::Xml, Some(Encoding::ShiftJis), Reload::Restart)
    );
    assert_eq!((print.format, print.encoding, print.concerns.roles[0].as_str()), (Format::Ini, None, "ap"));

    let [method, topology] = baseline.facts.as_slice() else { panic!("{:?}", baseline.facts) };
    assert!(
        matches!(&method.source, FactSource::Config { config, key } if config.as_str() == "linkage" && key == "linkage/mode")
    );
    assert_eq!(method.one_of.len(), 3);
    assert_eq!((topology.source.clone(), topology.one_of.len()), (FactSource::Topology, 2));

    let [program] = baseline.programs.as_slice() else { panic!("{:?}", baseline.programs) };
    assert_eq!(program.exclude.sources(), ["logs/**", "tmp/**"]);
    assert_eq!(program.process.as_ref().unwrap().exe, "bin/issuingd");
    let releases: Vec<_> =
        program.releases.iter().map(|r| (r.version.to_string(), r.variant.is_some(), r.denied.is_some())).collect();
    assert_eq!(
        releases,
        [("3.4.2".into(), true, false), ("3.4.1".into(), false, false), ("3.3.0".into(), false, true)]
    );
    assert_eq!(program.releases[0].when.as_ref().unwrap().to_string(), "topology = split");
    assert_eq!(program.patches[0].replaces.keys().collect::<Vec<_>>(), ["lib/print_queue.so"]);

    let [lock] = baseline.settings.as_slice() else { panic!("{:?}", baseline.settings) };
    assert_eq!((lock.kind, lock.about.waivable), (SettingKind::ExclusiveLock, false));
    assert!(matches!(&lock.expect, Expect::Equals(value) if value.to_string() == "exclusive"));
    assert_eq!(lock.in_force.as_ref().unwrap().pointer, "/queue/lock");

    let [fix] = baseline.fixes.as_slice() else { panic!("{:?}", baseline.fixes) };
    assert_eq!(fix.concerns.when.as_ref().unwrap().to_string(), "all(linkage.method = on-demand-2, topology = split)");
    assert_eq!(fix.required_from, Some(Time::from_rfc3339("2023-04-30T15:00:00Z").unwrap()));
    assert_eq!((fix.about.enforce, fix.about.waivable), (Enforce::Hold, true));
    assert_eq!(fix.about.title.as_ref().unwrap().ja.as_deref(), Some("随時連携中に印刷待ちが解除される"));
    let Requires::All(requirements) = &fix.requires else { panic!("{:?}", fix.requires) };
    let [Requirement::Program { program, fixed_in, or_patch }, Requirement::Setting(setting)] = requirements.as_slice()
    else {
        panic!("{requirements:?}")
    };
    assert_eq!((program.as_str(), fixed_in.to_string().as_str()), ("issuing-server", ">=3.4.2"));
    assert_eq!((or_patch.as_ref().unwrap().as_str(), setting.as_str()), ("HF-0042", "lock.print-wait"));

    let [waiver] = baseline.waivers.as_slice() else { panic!("{:?}", baseline.waivers) };
    assert_eq!((waiver.item.as_str(), waiver.hosts[0].as_str()), ("FIX-2019-0007", "131211-ap1"));
    assert_eq!(waiver.until, Time::from_rfc3339("2023-07-08T21:00:00Z").unwrap());
}

#[test]
fn every_key_that_the_sample_does_not_use_arrives() {
    let baseline = source::baseline(include_str!("data/source/other_keys.toml")).unwrap();
    assert_eq!(baseline.min_agent.to_string(), "0.0.0");
    assert_eq!(baseline.gate.permit_ttl, Span::from_s(1800));
    let proxy = &baseline.configs[0];
    assert!(proxy.sensitive && proxy.first_wins && !proxy.about.waivable && proxy.about.enforce == Enforce::Warn);
    assert_eq!((proxy.pinned.len(), proxy.concerns.sites.len(), proxy.reload), (1, 2, Reload::Live));
    assert_eq!((proxy.encoding, proxy.program.as_ref().unwrap().as_str()), (Some(Encoding::Utf16), "proxy-build"));
    assert_eq!((proxy.format, proxy.reader), (Format::Keyvalue, Reader::Postgresql));
    assert_eq!(proxy.concerns.when.as_ref().unwrap().to_string(), "not(any(topology one of split, workers ≥ 8))");
    let program = &baseline.programs[0];
    assert_eq!((program.scheme, program.releases[0].version.to_string().as_str()), (Scheme::Vl, "V01L20A"));
    assert_eq!(program.process.as_ref().unwrap().args.as_deref(), Some("*-jar proxy.jar*"));
    assert_eq!((baseline.settings[0].kind, baseline.settings[0].sensitive), (SettingKind::Plain, true));
    let Requires::All(all) = &baseline.fixes[0].requires else { panic!("{:?}", baseline.fixes[0]) };
    let [Requirement::Program { fixed_in, .. }, Requirement::File { path, sha256 }, dpkg, rpm] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert!(fixed_in.contains(&program.releases[0].version));
    assert_eq!((path.as_str(), sha256.len()), ("/usr/lib/libqueue.so", 1));
    assert!(
        matches!(dpkg, Requirement::Package { at_least: Version::Dpkg(version), .. } if version.to_string() == "3.0.9-1")
    );
    assert!(matches!(rpm, Requirement::Package { at_least: Version::Rpm(version), .. } if version == "1:3.0.7-18.el9"));
    let later = &baseline.fixes[1];
    assert!(matches!(&later.requires, Requires::NoFixYet { due, .. } if due.to_string() == "2026-12-01T00:00:00.000Z"));
    assert!(later.touches_nobody.is_some());
}

#[test]
fn the_sample_registry_is_read_in_order_of_its_ids() {
    let registry = source::registry(REGISTRY).unwrap();
    assert_eq!(
        registry.hosts.iter().map(|host| host.id.as_str()).collect::<Vec<_>>(),
        ["131211-ap1", "402206-ap1", "402206-db1"]
    );
    assert_eq!(registry.sites.iter().map(|site| site.code.as_str()).collect::<Vec<_>>(), ["131211", "402206"]);
    assert_eq!(registry.controllers.iter().map(|controller| controller.standby).collect::<Vec<_>>(), [false, true]);
    assert_eq!((registry.signers.len(), registry.sites[1].name.ja.as_deref()), (3, Some("福岡県宗像市")));
}

#[test]
fn the_samples_fit_each_other() {
    let (baseline, places) = source::baseline_with_places(BASELINE).unwrap();
    let registry = source::registry(REGISTRY).unwrap();
    let now = Time::from_rfc3339("2023-07-02T00:00:00Z").unwrap();
    assert_eq!(source::cross_check(&baseline, &places, &registry, now), []);
}
