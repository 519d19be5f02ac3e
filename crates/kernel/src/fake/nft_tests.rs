use super::*;
use crate::NftField;
use linkspan_model::{ErrorClass, PortRange};

const BODY: &str = "set bridges { type ifname; }
    set masquerade4 { type ipv4_addr; flags interval; }
    map verdicts { type ifname : verdict; }
    map ranges { type inet_proto . inet_service : ipv4_addr; flags interval; }
    chain target { drop; }";

fn table(body: &str) -> Value {
    Value::Table(NftTable { family: NftFamily::Inet, name: "linkspan".into(), body: body.into() })
}

fn element(set: &str, key: Vec<NftField>, data: Option<NftData>) -> Value {
    Value::Element(NftElement {
        family: NftFamily::Inet,
        table: "linkspan".into(),
        set: set.into(),
        key,
        data,
        comment: "its owner".into(),
    })
}

fn bridge(name: &str) -> Value {
    element("bridges", vec![NftField::Interface(name.into())], None)
}

fn net(text: &str) -> Value {
    element("masquerade4", vec![NftField::Net(text.parse().unwrap())], None)
}

fn range(first: u16, last: u16) -> Value {
    let to = NftData::Fields(vec![NftField::Address("10.0.0.1".parse().unwrap())]);
    element("ranges", vec![NftField::Protocol(6), NftField::Ports(PortRange { first, last })], Some(to))
}

fn jump(chain: &str) -> Value {
    element("verdicts", vec![NftField::Interface("br-a".into())], Some(NftData::Jump(chain.into())))
}

fn change(fake: &mut FakeNft, changes: &[Change]) -> Result<()> {
    fake.apply(&Place::Host, &changes.iter().collect::<Vec<_>>())
}

fn create(fake: &mut FakeNft, values: &[Value]) -> Result<()> {
    change(fake, &values.iter().map(|value| Change::Create(Place::Host, value.clone())).collect::<Vec<_>>())
}

fn with(values: &[Value]) -> FakeNft {
    let mut fake = FakeNft::default();
    create(&mut fake, &[table(BODY)]).unwrap();
    create(&mut fake, values).unwrap();
    fake
}

fn seen(fake: &FakeNft) -> Vec<Value> {
    fake.observe(&Place::Host, &[&table(BODY)])
}

#[test]
fn what_the_kernel_refuses_is_refused_and_changes_nothing() {
    let held = [bridge("br-a"), net("10.1.0.0/16"), range(80, 90)];
    for (wrong, class) in [
        (table(BODY), ErrorClass::Exists),
        (bridge("br-a"), ErrorClass::Exists),
        (net("10.1.0.0/16"), ErrorClass::Exists),
        (net("10.0.0.0/8"), ErrorClass::Exists),
        (range(85, 95), ErrorClass::Exists),
        (element("nowhere", vec![], None), ErrorClass::NotFound),
        (jump("nowhere"), ErrorClass::NotFound),
        (element("bridges", vec![NftField::Port(80)], None), ErrorClass::Invalid),
        (element("bridges", vec![NftField::Interface("br-b".into())], Some(NftData::Accept)), ErrorClass::Invalid),
    ] {
        let mut fake = with(&held);
        let before = seen(&fake);
        let error = create(&mut fake, &[bridge("br-z"), wrong.clone()]).expect_err(&wrong.to_string());
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(seen(&fake), before);
    }
    let error = create(&mut FakeNft::default(), &held).unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    let error = create(&mut with(&held), &[bridge("br-a")]).unwrap_err();
    assert_eq!(error.holder(), Some("its owner"));
}

#[test]
fn deletion_of_what_is_gone_is_done() {
    let mut fake = with(&[bridge("br-a")]);
    let gone = [bridge("br-b"), element("nowhere", vec![], None), bridge("br-a")];
    let changes: Vec<_> = gone.into_iter().map(|value| Change::Delete(Place::Host, value)).collect();
    change(&mut fake, &changes).unwrap();
    assert_eq!(seen(&fake), [table(BODY)]);
    change(&mut fake, &[Change::Delete(Place::Host, table(BODY))]).unwrap();
    change(&mut fake, &changes).unwrap();
    assert_eq!(seen(&fake), []);
}

#[test]
fn an_interval_may_take_the_place_of_one_it_overlaps() {
    let mut fake = with(&[net("10.0.0.0/8")]);
    change(
        &mut fake,
        &[Change::Create(Place::Host, net("10.1.0.0/16")), Change::Delete(Place::Host, net("10.0.0.0/8"))],
    )
    .unwrap();
    assert_eq!(seen(&fake), [table(BODY), net("10.1.0.0/16")]);
}

#[test]
fn places_are_apart_and_other_words_for_a_body_are_the_same_body() {
    let mut fake = with(&[bridge("br-a")]);
    let place = Place::Netns("/run/netns/a".into());
    assert_eq!(fake.observe(&place, &[&table(BODY)]), []);
    let respelled = table(&BODY.replace("drop;", "counter packets 7 bytes 7 drop;").replace("    ", "\n"));
    let from = table(BODY);
    change(&mut fake, &[Change::Update { place: Place::Host, from, to: respelled.clone() }]).unwrap();
    assert_eq!(fake.observe(&Place::Host, &[&respelled]), [respelled.clone(), bridge("br-a")]);
    assert_ne!(seen(&fake)[0], table(BODY), "a counter is a statement");
}

#[test]
fn a_table_in_use_keeps_the_chains_that_elements_jump_to() {
    let mut fake = with(&[jump("target"), bridge("br-a")]);
    let without_chain = table(&BODY.replace("chain target { drop; }", ""));
    let update = |to: &Value| Change::Update { place: Place::Host, from: table(BODY), to: to.clone() };
    let error = change(&mut fake, &[update(&without_chain)]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InUse);
    change(&mut fake, &[update(&without_chain), Change::Delete(Place::Host, jump("target"))]).unwrap();
    assert_eq!(fake.observe(&Place::Host, &[&without_chain]), [without_chain, bridge("br-a")]);
}
