//! Which call goes out next, and when: the order of a chain, the bounds, and fairness between
//! receivers.
//!
//! No IO and no clock: `now` comes in, and [`Queue::next`] says what to send. A call that is due
//! waits in the lane of its receiver, so a dead receiver fills its own lane and nobody else's;
//! lanes take turns.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Order;

/// Chains that are not done, each with what its owner needs to know of it.
pub(super) struct Queue<T> {
    limits: Limits,
    /// By number: the oldest first.
    chains: BTreeMap<u64, Entry<T>>,
    numbered: u64,
    timers: BinaryHeap<Reverse<(Instant, Turn)>>,
    /// Due, without a receiver: they need no room.
    nowhere: VecDeque<Turn>,
    /// Only receivers with calls that are due or in flight.
    lanes: HashMap<Lane, Traffic>,
    /// Lanes with a call to send and room to send it, by turns.
    ready: VecDeque<Lane>,
    flying: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Calls in flight at once.
    pub concurrency: usize,
    /// Calls in flight at once to one receiver.
    pub per_host: usize,
}

/// A receiver: `host:port`.
pub(super) type Lane = Arc<str>;

/// One call of one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Turn {
    /// The number of its chain, counted from 1.
    pub chain: u64,
    pub call: usize,
}

#[derive(Debug)]
pub(super) struct Step {
    /// After the call before it, or after the chain began.
    pub wait: Duration,
    /// None: it goes nowhere, but has its turn.
    pub lane: Option<Lane>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Behind another call of its chain.
    Behind,
    /// Waits for this instant, or has reached it and waits for room.
    Due(Instant),
    Flying,
    Done,
}

pub(super) struct Entry<T> {
    pub chain: T,
    pub begun: Instant,
    order: Order,
    steps: Box<[(Step, State)]>,
}

#[derive(Default)]
struct Traffic {
    waiting: VecDeque<Turn>,
    flying: usize,
    /// It is in `ready`.
    listed: bool,
}

/// A document may say any wait; a clock can't go on for ever.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl<T> Queue<T> {
    pub fn new(limits: Limits) -> Self {
        Queue {
            limits,
            chains: BTreeMap::new(),
            numbered: 0,
            timers: BinaryHeap::new(),
            nowhere: VecDeque::new(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            flying: 0,
        }
    }

    /// Takes a chain of at least one step; its first wait begins now.
    pub fn push(&mut self, now: Instant, order: Order, steps: impl Iterator<Item = Step>, chain: T) -> u64 {
        self.numbered += 1;
        let steps = steps.map(|step| (step, State::Behind)).collect();
        self.chains.insert(self.numbered, Entry { chain, begun: now, order, steps });
        self.schedule(now, Turn { chain: self.numbered, call: 0 });
        self.numbered
    }

    /// The call to send now, if there is one with room for it. It is in flight from here on, until
    /// [`Queue::finished`].
    pub fn next(&mut self, now: Instant) -> Option<Turn> {
        while let Some(Reverse((due, turn))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            self.line_up(turn);
        }
        let turn = self.nowhere.pop_front().or_else(|| self.take_from_a_lane())?;
        if self.set(turn, State::Flying)? == Order::Started {
            // Only what is behind is scheduled, so an attempt after the first changes nothing here.
            self.schedule(now, Turn { call: turn.call + 1, ..turn });
        }
        Some(turn)
    }

    /// When [`Queue::next`] may have something that it has not now, unless a call is finished before.
    pub fn wake(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// The call is tried again after a wait; until then it is not in flight.
    pub fn again(&mut self, now: Instant, turn: Turn, wait: Duration) {
        let due = now + wait.min(LONGEST);
        if self.set(turn, State::Due(due)).is_none() {
            return;
        }
        if let Some(lane) = self.lane(turn) {
            self.leave(&lane);
        }
        self.timers.push(Reverse((due, turn)));
    }

    /// The call had its final outcome. The chain comes back with its last call.
    pub fn finished(&mut self, now: Instant, turn: Turn) -> Option<T> {
        let order = self.set(turn, State::Done)?;
        if let Some(lane) = self.lane(turn) {
            self.leave(&lane);
        }
        if order == Order::Finished {
            self.schedule(now, Turn { call: turn.call + 1, ..turn });
        }
        let done = self.chains[&turn.chain].steps.iter().all(|(_, state)| *state == State::Done);
        if done { self.chains.remove(&turn.chain).map(|entry| entry.chain) } else { None }
    }

    /// Gives up every call that is not in flight, and says which.
    pub fn cancel(&mut self) -> Vec<Turn> {
        self.timers.clear();
        self.nowhere.clear();
        self.ready.clear();
        self.lanes.retain(|_, traffic| {
            traffic.waiting.clear();
            traffic.listed = false;
            traffic.flying > 0
        });
        let mut cancelled = Vec::new();
        for (&chain, entry) in &mut self.chains {
            for (call, (_, state)) in entry.steps.iter_mut().enumerate() {
                if matches!(state, State::Behind | State::Due(_)) {
                    *state = State::Done;
                    cancelled.push(Turn { chain, call });
                }
            }
        }
        cancelled
    }

    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        for (lane, traffic) in &mut self.lanes {
            traffic.list(lane, &limits, &mut self.ready);
        }
    }

    pub fn get(&self, chain: u64) -> Option<&T> {
        self.chains.get(&chain).map(|entry| &entry.chain)
    }

    pub fn flying(&self) -> usize {
        self.flying
    }

    /// When the oldest chain that is not done began.
    pub fn oldest(&self) -> Option<Instant> {
        self.chains.first_key_value().map(|(_, entry)| entry.begun)
    }

    /// The calls that are not done, those of the newest chain first.
    pub fn calls(&self) -> impl Iterator<Item = (Turn, &T, State)> {
        self.chains.iter().rev().flat_map(|(&chain, entry)| {
            let states = entry.steps.iter().map(|(_, state)| *state).enumerate();
            states
                .filter(|(_, state)| *state != State::Done)
                .map(move |(call, state)| (Turn { chain, call }, &entry.chain, state))
        })
    }

    fn schedule(&mut self, now: Instant, turn: Turn) {
        let Some(entry) = self.chains.get_mut(&turn.chain) else { return };
        let Some((step, state @ State::Behind)) = entry.steps.get_mut(turn.call) else { return };
        let due = now + step.wait.min(LONGEST);
        *state = State::Due(due);
        self.timers.push(Reverse((due, turn)));
    }

    fn line_up(&mut self, turn: Turn) {
        let Some(entry) = self.chains.get(&turn.chain) else { return };
        let Some(lane) = &entry.steps[turn.call].0.lane else {
            self.nowhere.push_back(turn);
            return;
        };
        let traffic = self.lanes.entry(lane.clone()).or_default();
        traffic.waiting.push_back(turn);
        traffic.list(lane, &self.limits, &mut self.ready);
    }

    fn take_from_a_lane(&mut self) -> Option<Turn> {
        while self.flying < self.limits.concurrency {
            let lane = self.ready.pop_front()?;
            let Some(traffic) = self.lanes.get_mut(&lane) else { continue };
            traffic.listed = false;
            if traffic.flying >= self.limits.per_host {
                continue;
            }
            let Some(turn) = traffic.waiting.pop_front() else { continue };
            traffic.flying += 1;
            self.flying += 1;
            traffic.list(&lane, &self.limits, &mut self.ready);
            return Some(turn);
        }
        None
    }

    fn leave(&mut self, lane: &Lane) {
        self.flying -= 1;
        let Some(traffic) = self.lanes.get_mut(lane) else { return };
        traffic.flying -= 1;
        traffic.list(lane, &self.limits, &mut self.ready);
        if traffic.flying == 0 && traffic.waiting.is_empty() {
            self.lanes.remove(lane);
        }
    }

    fn lane(&self, turn: Turn) -> Option<Lane> {
        self.chains.get(&turn.chain)?.steps.get(turn.call)?.0.lane.clone()
    }

    fn set(&mut self, turn: Turn, new: State) -> Option<Order> {
        let entry = self.chains.get_mut(&turn.chain)?;
        let (_, state) = entry.steps.get_mut(turn.call)?;
        *state = new;
        Some(entry.order)
    }
}

impl Traffic {
    /// Puts itself at the end of the row of lanes, if it has a call to send and room for it.
    fn list(&mut self, lane: &Lane, limits: &Limits, ready: &mut VecDeque<Lane>) {
        if !self.listed && !self.waiting.is_empty() && self.flying < limits.per_host {
            self.listed = true;
            ready.push_back(lane.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn queue(concurrency: usize, per_host: usize) -> (Queue<&'static str>, Instant) {
        (Queue::new(Limits { concurrency, per_host }), Instant::now())
    }

    /// Steps a second apart; `-` is a call that goes nowhere.
    fn steps(lanes: &str) -> impl Iterator<Item = Step> {
        lanes.split(' ').map(|lane| Step { wait: SECOND, lane: (lane != "-").then(|| lane.into()) })
    }

    #[track_caller]
    fn check(queue: &mut Queue<&'static str>, now: Instant, expected: &[(u64, usize)]) {
        let sent: Vec<_> =
            std::iter::from_fn(|| queue.next(now)).map(|turn| (turn.chain, turn.call)).collect();
        assert_eq!(sent, expected);
    }

    fn turn(chain: u64, call: usize) -> Turn {
        Turn { chain, call }
    }

    #[test]
    fn a_call_waits_for_its_delay() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Finished, steps("a"), "");
        assert_eq!(queue.wake(), Some(now + SECOND));
        check(&mut queue, now + SECOND - Duration::from_nanos(1), &[]);
        check(&mut queue, now + SECOND, &[(1, 0)]);
        assert_eq!(queue.wake(), None);
    }

    #[test]
    fn no_wait_is_too_long_for_the_clock() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Finished, [Step { wait: Duration::MAX, lane: None }].into_iter(), "");
        assert_eq!(queue.wake(), Some(now + LONGEST));
    }

    #[test]
    fn by_default_the_next_waits_after_the_outcome_of_the_one_before() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Finished, steps("a b"), "chain");
        check(&mut queue, now + SECOND, &[(1, 0)]);
        check(&mut queue, now + 60 * SECOND, &[]);
        assert_eq!(queue.finished(now + 60 * SECOND, turn(1, 0)), None);
        check(&mut queue, now + 60 * SECOND, &[]);
        check(&mut queue, now + 61 * SECOND, &[(1, 1)]);
        assert_eq!(queue.finished(now + 61 * SECOND, turn(1, 1)), Some("chain"));
        assert_eq!((queue.calls().count(), queue.lanes.len(), queue.flying), (0, 0, 0));
    }

    #[test]
    fn by_order_started_the_next_waits_after_the_start_of_the_one_before() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Started, steps("a b"), "chain");
        check(&mut queue, now + 5 * SECOND, &[(1, 0)]);
        check(&mut queue, now + 6 * SECOND, &[(1, 1)]);
        assert_eq!(queue.finished(now + 7 * SECOND, turn(1, 1)), None);
        assert_eq!(queue.finished(now + 8 * SECOND, turn(1, 0)), Some("chain"));
    }

    #[test]
    fn a_call_that_goes_nowhere_has_its_turn_and_takes_no_room() {
        let (mut queue, now) = queue(1, 1);
        queue.push(now, Order::Finished, steps("a"), "");
        queue.push(now, Order::Finished, steps("- b"), "");
        check(&mut queue, now + SECOND, &[(2, 0), (1, 0)]);
        queue.finished(now + SECOND, turn(2, 0));
        queue.finished(now + SECOND, turn(1, 0));
        check(&mut queue, now + SECOND, &[]);
        check(&mut queue, now + 2 * SECOND, &[(2, 1)]);
    }

    #[test]
    fn a_dead_receiver_delays_nobody_else() {
        let (mut queue, now) = queue(4, 2);
        for _ in 0..5 {
            queue.push(now, Order::Finished, steps("dead"), "");
        }
        queue.push(now, Order::Finished, steps("alive"), "");
        check(&mut queue, now + SECOND, &[(1, 0), (6, 0), (2, 0)]);
        queue.finished(now + SECOND, turn(1, 0));
        check(&mut queue, now + SECOND, &[(3, 0)]);
    }

    #[test]
    fn receivers_take_turns_when_there_is_room_for_one_only() {
        let (mut queue, now) = queue(1, 1);
        for lanes in ["a", "a", "a", "b", "c"] {
            queue.push(now, Order::Finished, steps(lanes), "");
        }
        let mut sent = Vec::new();
        while let Some(turn) = queue.next(now + SECOND) {
            assert_eq!(queue.next(now + SECOND), None);
            sent.push(turn.chain);
            queue.finished(now + SECOND, turn);
        }
        assert_eq!(sent, [1, 4, 5, 2, 3]);
    }

    #[test]
    fn calls_of_one_receiver_go_in_the_order_in_which_they_were_due() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now + SECOND, Order::Finished, steps("a"), "");
        queue.push(now, Order::Finished, steps("a"), "");
        check(&mut queue, now + 9 * SECOND, &[(2, 0), (1, 0)]);
    }

    #[test]
    fn wider_limits_let_out_what_waits() {
        let (mut queue, now) = queue(1, 1);
        for _ in 0..3 {
            queue.push(now, Order::Finished, steps("a"), "");
        }
        check(&mut queue, now + SECOND, &[(1, 0)]);
        queue.limit(Limits { concurrency: 2, per_host: 9 });
        check(&mut queue, now + SECOND, &[(2, 0)]);
        queue.limit(Limits { concurrency: 1, per_host: 1 });
        queue.finished(now + SECOND, turn(1, 0));
        check(&mut queue, now + SECOND, &[]);
        queue.finished(now + SECOND, turn(2, 0));
        check(&mut queue, now + SECOND, &[(3, 0)]);
    }

    #[test]
    fn what_is_in_flight_is_not_cancelled_and_nothing_follows_it() {
        let (mut queue, now) = queue(1, 1);
        queue.push(now, Order::Finished, steps("a b"), "first");
        queue.push(now, Order::Finished, steps("a"), "second");
        check(&mut queue, now + SECOND, &[(1, 0)]);
        assert_eq!(queue.cancel(), [turn(1, 1), turn(2, 0)]);
        assert_eq!(queue.finished(now + SECOND, turn(1, 0)), Some("first"));
        assert_eq!((queue.wake(), queue.next(now + 9 * SECOND)), (None, None));
    }
}
