//! Which call goes out next, and when: the order of a chain, the bounds, and fairness between
//! receivers.
//!
//! No IO and no clock: `now` comes in, and [`Queue::next`] says what to send.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::Lanes;
pub(super) use super::lanes::{Lane, Limits, Turn};
use crate::config::Order;

/// Chains that are not done, each with what its owner needs to know of it.
pub(super) struct Queue<T> {
    /// By number: the oldest first.
    chains: BTreeMap<u64, Entry<T>>,
    numbered: u64,
    timers: BinaryHeap<Reverse<(Instant, Turn)>>,
    /// Due, without a receiver: they need no room.
    nowhere: VecDeque<Turn>,
    /// What is due and has a receiver.
    lanes: Lanes,
    /// Nothing goes out.
    paused: bool,
}

#[derive(Debug)]
pub(super) struct Step {
    /// After the call before it, or after the chain began.
    pub wait: Duration,
    /// None: it goes nowhere, but has its turn.
    pub lane: Option<Lane>,
}

/// What another process left of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Done,
    After(Duration),
    /// Behind another call of its chain.
    Behind,
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

/// Why a call that is due is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Paused,
    /// Its receiver rests until then.
    Rest(Instant),
    /// Others go first.
    Room,
}

/// A receiver that began to rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rested {
    pub lane: Lane,
    pub until: Instant,
    /// Calls that have waited for it for too long.
    pub in_vain: Vec<Turn>,
}

pub(super) struct Entry<T> {
    pub chain: T,
    pub begun: Instant,
    order: Order,
    steps: Box<[(Step, State)]>,
}

/// A document may say any wait; a clock can't go on for ever.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A call that is due waits so long for a receiver that rests.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

impl<T> Queue<T> {
    pub fn new(limits: Limits) -> Self {
        Queue {
            chains: BTreeMap::new(),
            numbered: 0,
            timers: BinaryHeap::new(),
            nowhere: VecDeque::new(),
            lanes: Lanes::new(limits),
            paused: false,
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

    /// Takes one call of a chain that is done; it is due now.
    pub fn push_again(&mut self, now: Instant, call: usize, step: Step, chain: T) -> Turn {
        self.numbered += 1;
        let turn = Turn { chain: self.numbered, call };
        let nothing = || (Step { wait: Duration::ZERO, lane: None }, State::Done);
        let mut steps: Box<[_]> = std::iter::repeat_with(nothing).take(call + 1).collect();
        steps[call] = (step, State::Behind);
        self.chains.insert(self.numbered, Entry { chain, begun: now, order: Order::Finished, steps });
        self.schedule(now, turn);
        turn
    }

    /// Takes a chain that another process began: calls that are done, those that are due after a wait, and
    /// those that nothing is known of. At least one is not done.
    pub fn take_up(
        &mut self,
        now: Instant,
        begun: Instant,
        order: Order,
        steps: impl Iterator<Item = (Step, Left)>,
        chain: T,
    ) -> u64 {
        self.numbered += 1;
        let number = self.numbered;
        let mut due = Vec::new();
        let steps = steps.enumerate().map(|(call, (step, left))| match left {
            Left::Done => (step, State::Done),
            Left::Behind => (step, State::Behind),
            Left::After(wait) => {
                let then = now + wait.min(LONGEST);
                due.push(Reverse((then, Turn { chain: number, call })));
                (step, State::Due(then))
            }
        });
        let steps = steps.collect();
        let first = due.is_empty().then_some(Turn { chain: number, call: 0 });
        self.timers.extend(due);
        self.chains.insert(number, Entry { chain, begun, order, steps });
        if let Some(first) = first {
            self.schedule(now, first);
        }
        number
    }

    /// The call to send now, if there is one with room for it. It is in flight from here on, until
    /// [`Queue::again`] or [`Queue::finished`].
    pub fn next(&mut self, now: Instant) -> Option<Turn> {
        if self.paused {
            return None;
        }
        while let Some(Reverse((due, turn))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            self.line_up(now, due, turn);
        }
        let turn = self.nowhere.pop_front().or_else(|| self.lanes.next(now))?;
        if self.set(turn, State::Flying)? == Order::Started {
            // Only what is behind is scheduled, so an attempt after the first changes nothing here.
            self.schedule(now, Turn { call: turn.call + 1, ..turn });
        }
        Some(turn)
    }

    /// Lets nothing out until it is called again with false.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// When [`Queue::next`] may have something that it has not now, unless a call is finished before.
    pub fn wake(&self) -> Option<Instant> {
        if self.paused {
            return None;
        }
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        timer.into_iter().chain(self.lanes.wake()).min()
    }

    /// The receiver of a call that is in flight answered.
    pub fn answered(&mut self, turn: Turn) {
        if let Some(lane) = self.lane(turn) {
            self.lanes.answered(&lane);
        }
    }

    /// The receiver of a call that is in flight failed. Says so if it rests from now on; those that have waited
    /// for it in vain are not to wait any longer.
    pub fn failed(&mut self, now: Instant, turn: Turn) -> Option<Rested> {
        let lane = self.lane(turn)?;
        let rest = self.lanes.failed(now, &lane)?;
        let chains = &self.chains;
        let waits_in_vain = |turn: &Turn| {
            let entry = chains.get(&turn.chain);
            let state = entry.and_then(|entry| entry.steps.get(turn.call)).map(|(_, state)| *state);
            // What was due before was in a row that went on, or was paused.
            matches!(state, Some(State::Due(due)) if due.max(rest.since) + PATIENCE < now)
        };
        let in_vain = self.lanes.take_out(&lane, waits_in_vain);
        Some(Rested { lane, until: rest.until, in_vain })
    }

    /// The call is tried again after a wait; until then it is not in flight.
    pub fn again(&mut self, now: Instant, turn: Turn, wait: Duration) {
        let due = now + wait.min(LONGEST);
        if self.set(turn, State::Due(due)).is_none() {
            return;
        }
        if let Some(lane) = self.lane(turn) {
            self.lanes.leave(now, &lane);
        }
        self.timers.push(Reverse((due, turn)));
    }

    /// A call that waits for its time or its turn has both now. Whether it was one.
    pub fn hasten(&mut self, now: Instant, turn: Turn) -> bool {
        let Some(State::Due(due)) = self.state(turn) else { return false };
        if due > now {
            self.set(turn, State::Due(now));
            self.line_up(now, now, turn);
        }
        if let Some(lane) = self.lane(turn) {
            self.lanes.hurry(now, &lane, turn);
        }
        true
    }

    /// What keeps a call that is due.
    pub fn hold(&self, now: Instant, turn: Turn) -> Option<Hold> {
        match self.state(turn)? {
            State::Due(due) if due > now => None,
            State::Due(_) if self.paused => Some(Hold::Paused),
            State::Due(_) => {
                let rests = self.lane(turn).and_then(|lane| self.lanes.rests(now, &lane));
                Some(rests.map_or(Hold::Room, Hold::Rest))
            }
            _ => None,
        }
    }

    /// The call had its final outcome, from wherever it was. The chain comes back with its last call.
    pub fn finished(&mut self, now: Instant, turn: Turn) -> Option<T> {
        let before = self.state(turn)?;
        let order = self.set(turn, State::Done)?;
        match (before, self.lane(turn)) {
            (State::Flying, Some(lane)) => self.lanes.leave(now, &lane),
            (State::Due(_), Some(lane)) => drop(self.lanes.take_out(&lane, |waiting| *waiting == turn)),
            _ => {}
        }
        // What follows waits for what is before it, so nothing follows what is behind another call.
        if before != State::Behind
            && before != State::Done
            && (order == Order::Finished || matches!(before, State::Due(_)))
        {
            self.schedule(now, Turn { call: turn.call + 1, ..turn });
        }
        let done = self.chains[&turn.chain].steps.iter().all(|(_, state)| *state == State::Done);
        if done { self.chains.remove(&turn.chain).map(|entry| entry.chain) } else { None }
    }

    /// Gives up every call that is not in flight, and says which.
    pub fn cancel(&mut self) -> Vec<Turn> {
        self.timers.clear();
        self.nowhere.clear();
        self.lanes.clear();
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

    pub fn limit(&mut self, now: Instant, limits: Limits) {
        self.lanes.limit(now, limits);
    }

    pub fn get(&self, chain: u64) -> Option<&T> {
        self.chains.get(&chain).map(|entry| &entry.chain)
    }

    /// The oldest first.
    pub fn chains(&self) -> impl Iterator<Item = (u64, &T)> {
        self.chains.iter().map(|(&number, entry)| (number, &entry.chain))
    }

    pub fn flying(&self) -> usize {
        self.lanes.flying()
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

    /// Begins the wait of this call, or of the next one of its chain that nobody has cancelled.
    fn schedule(&mut self, now: Instant, turn: Turn) {
        let Some(entry) = self.chains.get_mut(&turn.chain) else { return };
        let mut rest = entry.steps.iter_mut().enumerate().skip(turn.call);
        let Some((call, (step, state))) = rest.find(|(_, (_, state))| *state != State::Done) else { return };
        if *state != State::Behind {
            return;
        }
        let due = now + step.wait.min(LONGEST);
        *state = State::Due(due);
        self.timers.push(Reverse((due, Turn { call, ..turn })));
    }

    /// A call whose time has come; `due` is what its timer says, which may be of an earlier wait.
    fn line_up(&mut self, now: Instant, due: Instant, turn: Turn) {
        let Some(entry) = self.chains.get(&turn.chain) else { return };
        let (step, state) = &entry.steps[turn.call];
        if *state != State::Due(due) {
            return;
        }
        let Some(lane) = &step.lane else {
            self.nowhere.push_back(turn);
            return;
        };
        self.lanes.line_up(now, lane, turn);
    }

    pub fn state(&self, turn: Turn) -> Option<State> {
        self.chains.get(&turn.chain)?.steps.get(turn.call).map(|(_, state)| *state)
    }

    /// Its receiver.
    pub fn lane(&self, turn: Turn) -> Option<Lane> {
        self.chains.get(&turn.chain)?.steps.get(turn.call)?.0.lane.clone()
    }

    fn set(&mut self, turn: Turn, new: State) -> Option<Order> {
        let entry = self.chains.get_mut(&turn.chain)?;
        let (_, state) = entry.steps.get_mut(turn.call)?;
        *state = new;
        Some(entry.order)
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
        assert_eq!((queue.calls().count(), queue.flying()), (0, 0));
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
        queue.limit(now, Limits { concurrency: 2, per_host: 9 });
        check(&mut queue, now + SECOND, &[(2, 0)]);
        queue.limit(now, Limits { concurrency: 1, per_host: 1 });
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

    #[test]
    fn a_call_is_tried_again_after_its_wait_and_the_next_one_waits_for_its_end() {
        let (mut queue, now) = queue(9, 1);
        queue.push(now, Order::Finished, steps("a b"), "chain");
        queue.push(now, Order::Finished, steps("a"), "other");
        check(&mut queue, now + SECOND, &[(1, 0)]);
        queue.again(now + SECOND, turn(1, 0), 5 * SECOND);
        // Its room is another's meanwhile.
        check(&mut queue, now + SECOND, &[(2, 0)]);
        queue.finished(now + SECOND, turn(2, 0));
        check(&mut queue, now + 6 * SECOND, &[(1, 0)]);
        assert_eq!(queue.finished(now + 6 * SECOND, turn(1, 0)), None);
        check(&mut queue, now + 7 * SECOND, &[(1, 1)]);
    }

    #[test]
    fn a_call_that_is_given_up_lets_the_chain_go_on() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Finished, steps("a b c"), "chain");
        assert_eq!(queue.finished(now, turn(1, 1)), None);
        assert_eq!(queue.finished(now, turn(1, 0)), None);
        check(&mut queue, now + SECOND, &[(1, 2)]);
        assert_eq!(queue.finished(now, turn(1, 2)), Some("chain"));
        assert_eq!(queue.flying(), 0);
    }

    #[test]
    fn a_call_may_be_sent_before_its_time() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Finished, steps("a"), "");
        assert!(queue.hasten(now, turn(1, 0)));
        check(&mut queue, now, &[(1, 0)]);
        assert!(!queue.hasten(now, turn(1, 0)));
        queue.again(now, turn(1, 0), 5 * SECOND);
        // Its first timer says nothing any more.
        check(&mut queue, now + SECOND, &[]);
        check(&mut queue, now + 5 * SECOND, &[(1, 0)]);
    }

    #[test]
    fn one_call_of_a_chain_that_is_done_may_be_sent_again() {
        let (mut queue, now) = queue(9, 9);
        let step = Step { wait: Duration::ZERO, lane: Some("a".into()) };
        let again = queue.push_again(now, 2, step, "chain");
        assert_eq!(again, turn(1, 2));
        check(&mut queue, now, &[(1, 2)]);
        assert_eq!(queue.finished(now, again), Some("chain"));
    }

    #[test]
    fn a_chain_that_was_begun_before_goes_on() {
        let (mut queue, now) = queue(9, 9);
        let left = [Left::Done, Left::After(5 * SECOND), Left::Behind];
        queue.take_up(now, now, Order::Finished, steps("a b c").zip(left), "chain");
        check(&mut queue, now + 4 * SECOND, &[]);
        check(&mut queue, now + 5 * SECOND, &[(1, 1)]);
        assert_eq!(queue.finished(now + 5 * SECOND, turn(1, 1)), None);
        check(&mut queue, now + 6 * SECOND, &[(1, 2)]);
        assert_eq!(queue.finished(now, turn(1, 2)), Some("chain"));
        // Nothing is known of when the next one is due.
        let left = [Left::Done, Left::Behind];
        queue.take_up(now, now, Order::Finished, steps("a b").zip(left), "chain");
        check(&mut queue, now + SECOND, &[(2, 1)]);
    }

    #[test]
    fn nothing_goes_out_while_it_is_paused() {
        let (mut queue, now) = queue(9, 9);
        queue.push(now, Order::Finished, steps("a"), "");
        queue.pause(true);
        assert_eq!((queue.wake(), queue.next(now + SECOND)), (None, None));
        queue.pause(false);
        check(&mut queue, now + SECOND, &[(1, 0)]);
    }

    #[test]
    fn a_receiver_that_fails_ten_times_rests_and_others_do_not() {
        let (mut queue, now) = queue(99, 9);
        for _ in 0..12 {
            queue.push(now, Order::Finished, steps("a"), "");
        }
        queue.push(now, Order::Finished, steps("b"), "");
        let mut then = now + SECOND;
        let sent: Vec<_> = std::iter::from_fn(|| queue.next(then)).collect();
        assert_eq!(sent.len(), 10);
        for one in sent.iter().filter(|one| one.chain < 13) {
            assert_eq!(queue.failed(then, *one), None);
            queue.again(then, *one, 60 * SECOND);
        }
        let tenth = queue.next(then).unwrap();
        let (lane, until) = ("a".into(), then + 10 * SECOND);
        assert_eq!(queue.failed(then, tenth), Some(Rested { lane, until, in_vain: Vec::new() }));
        queue.finished(then, tenth);
        check(&mut queue, then, &[]);
        assert_eq!(queue.wake(), Some(then + 10 * SECOND));
        then += 10 * SECOND;
        // One, to see how it does.
        check(&mut queue, then, &[(11, 0)]);
        queue.answered(turn(11, 0));
        queue.finished(then, turn(11, 0));
        check(&mut queue, then, &[(12, 0)]);
    }

    #[test]
    fn what_waits_too_long_for_a_receiver_that_rests_is_given_up() {
        let (mut queue, now) = queue(99, 1);
        for _ in 0..20 {
            queue.push(now, Order::Finished, steps("a"), "");
        }
        let mut then = now + SECOND;
        let mut given_up = Vec::new();
        while given_up.is_empty() {
            let Some(one) = queue.next(then) else {
                then = queue.wake().unwrap();
                continue;
            };
            given_up = queue.failed(then, one).map(|rested| rested.in_vain).unwrap_or_default();
            queue.finished(then, one);
        }
        // Ten failures at once, and a rest at least that long.
        assert!(then > now + SECOND + PATIENCE);
        for one in given_up {
            queue.finished(then, one);
        }
        assert_eq!(queue.calls().count(), 0);
    }

    /// As a long row of one receiver does that is gone for a moment.
    #[test]
    fn what_was_due_long_before_its_receiver_rests_is_not_given_up_for_that() {
        let (mut queue, now) = queue(99, 1);
        for _ in 0..20 {
            queue.push(now, Order::Finished, steps("a"), "");
        }
        let then = now + 2 * PATIENCE;
        for _ in 0..10 {
            let one = queue.next(then).unwrap();
            let rested = queue.failed(then, one);
            assert!(rested.is_none_or(|rested| rested.in_vain.is_empty()));
            queue.again(then, one, SECOND);
        }
        check(&mut queue, then + 9 * SECOND, &[]);
        let last = turn(20, 0);
        assert_eq!(queue.hold(then + 9 * SECOND, last), Some(Hold::Rest(then + 10 * SECOND)));
        // Asked for by hand it shows how the receiver does.
        assert!(queue.hasten(then + 9 * SECOND, last));
        check(&mut queue, then + 9 * SECOND, &[(20, 0)]);
        queue.again(then + 9 * SECOND, last, 60 * SECOND);
        let one = queue.next(then + 10 * SECOND).unwrap();
        assert_eq!(queue.hold(then + 10 * SECOND, turn(19, 0)), Some(Hold::Room));
        queue.pause(true);
        assert_eq!(queue.hold(then + 10 * SECOND, turn(19, 0)), Some(Hold::Paused));
        queue.answered(one);
        queue.finished(then + 10 * SECOND, one);
        assert_eq!(queue.calls().count(), 19);
    }
}
