//! The healer on a machine that is slow, and with a kernel that does not answer at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use linkspan_engine::Controller;
use linkspan_kernel::{Address, Around, Call, Change, FakeKernel, Kernel, Place, Plan, Surrounded, Sysctl, Value};
use linkspan_model::{Error, Result};
use linkspan_store::MemoryStore;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use support::{FakeResolver, network, parts, sandbox};

/// What looking at the kernel meets with.
#[derive(Clone, Default)]
struct Looking(Arc<Trouble>);

#[derive(Default)]
struct Trouble {
    /// Milliseconds that each look waits for a processor.
    wait: AtomicU64,
    /// How many looks fail from now on.
    failures: AtomicUsize,
}

impl Around for Looking {
    fn before(&self, call: Call<'_>) -> Result<()> {
        if !matches!(call, Call::Observe) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(self.0.wait.load(Ordering::SeqCst)));
        let failures = &self.0.failures;
        match failures.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::unavailable("the tables change all the time")),
            Err(_) => Ok(()),
        }
    }
}

struct Scene {
    kernel: Arc<FakeKernel>,
    engine: Arc<Controller>,
    looking: Looking,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (kernel, looking) = (Arc::new(FakeKernel::new()), Looking::default());
        let surrounded = Surrounded::new(Arc::<FakeKernel>::clone(&kernel), looking.clone());
        let resolver = Arc::new(FakeResolver::default());
        let store = Box::new(MemoryStore::new());
        let engine = Controller::start(parts(Arc::new(surrounded), store, resolver, dir.path())).unwrap();
        engine.create_network(network("app")).unwrap();
        engine.heal_on_change().unwrap();
        let scene = Self { kernel, engine, looking, _dir: dir };
        scene.healed();
        scene
    }

    /// Somebody else switches forwarding off.
    fn damage(&self) {
        let setting = |value: &str| Value::Sysctl(Sysctl::new("net/ipv4/ip_forward", value));
        let change = Change::Update { place: Place::Host, from: setting("1"), to: setting("0") };
        self.kernel.apply(&Plan::from_iter([change])).unwrap();
        assert!(!self.is_whole());
    }

    fn is_whole(&self) -> bool {
        self.kernel.read_sysctl(&Place::Host, "net/ipv4/ip_forward").unwrap() == "1"
    }

    /// Waits until nothing is broken, and says how long that took.
    #[track_caller]
    fn healed(&self) -> Duration {
        let begin = Instant::now();
        while !self.is_whole() {
            assert!(begin.elapsed() < Duration::from_secs(20), "not healed");
            thread::sleep(Duration::from_millis(5));
        }
        begin.elapsed()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.engine.shut_down();
    }
}

#[test]
fn time_that_others_took_is_no_reason_to_pause() {
    let scene = Scene::new();
    // Looks of which two make a repair, and that cost the processor nothing.
    scene.looking.0.wait.store(300, Ordering::SeqCst);
    for round in 0..4 {
        scene.damage();
        let took = scene.healed();
        // What the last repair itself changed is looked at first.
        assert!(took < Duration::from_millis(1700), "round {round}: {took:?}");
    }
}

#[test]
fn what_breaks_while_a_repair_runs_is_put_right_after_it() {
    let scene = Scene::new();
    scene.looking.0.wait.store(200, Ordering::SeqCst);
    scene.damage();
    scene.healed();
    // The repair has been written and is still under way.
    scene.damage();
    let took = scene.healed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

#[test]
fn a_look_that_failed_is_repeated_though_nobody_tells_of_anything() {
    let scene = Scene::new();
    scene.looking.0.failures.store(1, Ordering::SeqCst);
    scene.damage();
    let took = scene.healed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn what_others_break_in_a_sandbox_right_after_an_operation_is_not_left_for_long() {
    let scene = Scene::new();
    let view = scene.engine.create_sandbox(sandbox("s", &["app"])).unwrap();
    let (endpoint, place) = (&view.endpoints[0], view.namespace.place());
    let address = Address { link: endpoint.interface.clone().unwrap(), address: endpoint.ipv4.unwrap().into() };
    let line = format!("{address:?}");
    assert!(scene.kernel.dump().contains(&line));
    scene.kernel.apply(&Plan::from_iter([Change::Delete(place, Value::Address(address))])).unwrap();
    assert!(!scene.kernel.dump().contains(&line));
    let begin = Instant::now();
    while !scene.kernel.dump().contains(&line) {
        assert!(begin.elapsed() < Duration::from_millis(1500), "not healed");
        thread::sleep(Duration::from_millis(5));
    }
}
