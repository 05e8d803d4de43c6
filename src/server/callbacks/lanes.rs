//! Receivers with calls to send: who has room, and whose turn it is. No IO, no clock.
//!
//! A call that is due waits in the lane of its receiver, so that a dead one fills its own lane and nobody
//! else's. It still keeps its places for as long as an attempt may last: where there are receivers that
//! answer, a quarter of all places is for them, and many that are dead do not delay them either.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Rest};

pub(super) struct Lanes {
    limits: Limits,
    /// Those with calls that are due or in flight, and some that had calls not long ago.
    known: HashMap<Lane, Traffic>,
    /// When rests of receivers end.
    rests: BinaryHeap<Reverse<(Instant, Lane)>>,
    ready: Ready,
    flying: usize,
    /// Of these, to receivers that are not known to answer.
    doubtful: usize,
    /// Receivers that are known to answer.
    answering: usize,
    /// With more than so many that are known, some are forgotten.
    crowd: usize,
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

struct Traffic {
    waiting: VecDeque<Turn>,
    flying: usize,
    /// It is in `ready`.
    listed: bool,
    breaker: Breaker,
    touched: Instant,
}

/// Lanes with a call to send and room to send it, by turns.
#[derive(Default)]
struct Ready {
    answering: VecDeque<Lane>,
    others: VecDeque<Lane>,
    others_first: bool,
}

/// Receivers without calls that are remembered, and for how long.
const REMEMBERED: usize = 2048;
const MEMORY: Duration = Duration::from_secs(10 * 60);

impl Lanes {
    pub fn new(limits: Limits) -> Self {
        Lanes {
            limits,
            known: HashMap::new(),
            rests: BinaryHeap::new(),
            ready: Ready::default(),
            flying: 0,
            doubtful: 0,
            answering: 0,
            crowd: REMEMBERED,
        }
    }

    /// A call that is due.
    pub fn line_up(&mut self, now: Instant, lane: &Lane, turn: Turn) {
        let traffic = self.known.entry(lane.clone()).or_insert_with(|| Traffic::new(now));
        traffic.waiting.push_back(turn);
        traffic.list(now, lane, &self.limits, &mut self.ready);
    }

    /// The call to send now, if there is one with room for it. It is in flight until it leaves.
    pub fn next(&mut self, now: Instant) -> Option<Turn> {
        self.end_rests(now);
        while self.flying < self.limits.concurrency {
            let lane = self.ready.next(self.doubtful < self.most_doubtful())?;
            let Some(traffic) = self.known.get_mut(&lane) else { continue };
            traffic.listed = false;
            if !traffic.has_room(now, &self.limits) {
                continue;
            }
            let Some(turn) = traffic.waiting.pop_front() else { continue };
            traffic.flying += 1;
            self.flying += 1;
            self.doubtful += usize::from(!traffic.breaker.answers());
            traffic.list(now, &lane, &self.limits, &mut self.ready);
            return Some(turn);
        }
        None
    }

    /// When [`Lanes::next`] may have something that it has not now, unless a call leaves before.
    pub fn wake(&self) -> Option<Instant> {
        self.rests.peek().map(|Reverse((until, _))| *until)
    }

    /// This call goes before the others of its receiver, which rests no longer.
    pub fn hurry(&mut self, now: Instant, lane: &Lane, turn: Turn) {
        let Some(traffic) = self.known.get_mut(lane) else { return };
        let Some(at) = traffic.waiting.iter().position(|other| *other == turn) else { return };
        traffic.waiting.remove(at);
        traffic.waiting.push_front(turn);
        traffic.breaker.wake(now);
        traffic.list(now, lane, &self.limits, &mut self.ready);
    }

    /// Until when the receiver rests.
    pub fn rests(&self, now: Instant, lane: &Lane) -> Option<Instant> {
        self.known.get(lane)?.breaker.rests(now)
    }

    pub fn flying(&self) -> usize {
        self.flying
    }

    /// The receiver answered a call that is in flight.
    pub fn answered(&mut self, lane: &Lane) {
        let Some(traffic) = self.known.get_mut(lane) else { return };
        let answered_before = traffic.breaker.answers();
        traffic.breaker.answered();
        if !answered_before {
            self.doubtful -= traffic.flying;
            self.answering += 1;
            traffic.change_row(lane, &mut self.ready);
        }
    }

    /// A call that is in flight failed. Says how the receiver rests from now on, if that is new.
    pub fn failed(&mut self, now: Instant, lane: &Lane) -> Option<Rest> {
        let traffic = self.known.get_mut(lane)?;
        let answered_before = traffic.breaker.answers();
        let rest = traffic.breaker.failed(now);
        if answered_before {
            self.doubtful += traffic.flying;
            self.answering -= 1;
            traffic.change_row(lane, &mut self.ready);
        }
        let rest = rest?;
        self.rests.push(Reverse((rest.until, lane.clone())));
        Some(rest)
    }

    /// A call is in flight no longer.
    pub fn leave(&mut self, now: Instant, lane: &Lane) {
        self.flying -= 1;
        let Some(traffic) = self.known.get_mut(lane) else { return };
        traffic.flying -= 1;
        self.doubtful -= usize::from(!traffic.breaker.answers());
        traffic.touched = now;
        traffic.list(now, lane, &self.limits, &mut self.ready);
        if traffic.is_idle() && traffic.breaker.is_new() {
            self.known.remove(lane);
        } else if self.known.len() > self.crowd {
            self.forget_some(now);
        }
    }

    /// Takes out those that wait and shall not.
    pub fn take_out(&mut self, lane: &Lane, shall_not: impl FnMut(&Turn) -> bool) -> Vec<Turn> {
        let Some(traffic) = self.known.get_mut(lane) else { return Vec::new() };
        let (out, waiting): (Vec<_>, Vec<_>) = traffic.waiting.drain(..).partition(shall_not);
        traffic.waiting = waiting.into();
        if traffic.is_idle() && traffic.breaker.is_new() {
            self.known.remove(lane);
        }
        out
    }

    /// Nothing waits any more.
    pub fn clear(&mut self) {
        self.rests.clear();
        self.ready = Ready::default();
        self.known.retain(|_, traffic| {
            traffic.waiting.clear();
            traffic.listed = false;
            traffic.flying > 0
        });
        self.answering = self.count_answering();
    }

    pub fn limit(&mut self, now: Instant, limits: Limits) {
        self.limits = limits;
        for (lane, traffic) in &mut self.known {
            traffic.list(now, lane, &limits, &mut self.ready);
        }
    }

    fn end_rests(&mut self, now: Instant) {
        while self.rests.peek().is_some_and(|Reverse((until, _))| *until <= now) {
            let Some(Reverse((_, lane))) = self.rests.pop() else { break };
            if let Some(traffic) = self.known.get_mut(&lane) {
                traffic.list(now, &lane, &self.limits, &mut self.ready);
            }
        }
    }

    /// Places for receivers that are not known to answer. Where none is, all are.
    fn most_doubtful(&self) -> usize {
        let Limits { concurrency, .. } = self.limits;
        if self.answering == 0 { concurrency } else { concurrency - concurrency / 4 }
    }

    fn forget_some(&mut self, now: Instant) {
        self.known.retain(|_, traffic| !traffic.is_idle() || traffic.touched + MEMORY > now);
        if self.known.len() > REMEMBERED {
            self.known.retain(|_, traffic| !traffic.is_idle());
        }
        self.answering = self.count_answering();
        // So that most that are busy are not looked through each time.
        self.crowd = REMEMBERED.max(2 * self.known.len());
    }

    fn count_answering(&self) -> usize {
        self.known.values().filter(|traffic| traffic.breaker.answers()).count()
    }
}

impl Traffic {
    fn new(now: Instant) -> Self {
        let (waiting, breaker) = (VecDeque::new(), Breaker::default());
        Traffic { waiting, flying: 0, listed: false, breaker, touched: now }
    }

    fn is_idle(&self) -> bool {
        self.flying == 0 && self.waiting.is_empty()
    }

    fn has_room(&self, now: Instant, limits: &Limits) -> bool {
        self.flying < self.breaker.room(now, limits.per_host)
    }

    /// Puts itself at the end of its row, if it has a call to send and room for it.
    fn list(&mut self, now: Instant, lane: &Lane, limits: &Limits, ready: &mut Ready) {
        if self.listed || self.waiting.is_empty() || !self.has_room(now, limits) {
            return;
        }
        self.listed = true;
        ready.row(self.breaker.answers()).push_back(lane.clone());
    }

    /// It belongs to the other row from now on.
    fn change_row(&self, lane: &Lane, ready: &mut Ready) {
        let answers = self.breaker.answers();
        let before = ready.row(!answers);
        if let Some(at) = before.iter().position(|other| self.listed && other == lane) {
            before.remove(at);
            ready.row(answers).push_back(lane.clone());
        }
    }
}

impl Ready {
    fn row(&mut self, answers: bool) -> &mut VecDeque<Lane> {
        if answers { &mut self.answering } else { &mut self.others }
    }

    /// Those that answer and the others take turns, while there is room for the others.
    fn next(&mut self, for_others: bool) -> Option<Lane> {
        if !for_others {
            return self.answering.pop_front();
        }
        self.others_first = !self.others_first;
        match self.others_first {
            true => self.others.pop_front().or_else(|| self.answering.pop_front()),
            false => self.answering.pop_front().or_else(|| self.others.pop_front()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(concurrency: usize, per_host: usize) -> (Lanes, Instant) {
        (Lanes::new(Limits { concurrency, per_host }), Instant::now())
    }

    /// The lane's letter as the chain's number.
    fn line_up(lanes: &mut Lanes, now: Instant, names: &str) {
        for name in names.chars() {
            lanes.line_up(now, &name.to_string().into(), Turn { chain: name as u64, call: 0 });
        }
    }

    #[track_caller]
    fn check(lanes: &mut Lanes, now: Instant, expected: &str) {
        let sent = std::iter::from_fn(|| lanes.next(now));
        let sent: String = sent.map(|turn| char::from(turn.chain as u8)).collect();
        assert_eq!(sent, expected);
    }

    fn answer(lanes: &mut Lanes, now: Instant, name: &str) {
        lanes.answered(&name.into());
        lanes.leave(now, &name.into());
    }

    fn fail(lanes: &mut Lanes, now: Instant, name: &str) {
        lanes.failed(now, &name.into());
        lanes.leave(now, &name.into());
    }

    #[test]
    fn many_that_do_not_answer_leave_room_for_one_that_does() {
        let (mut lanes, now) = lanes(4, 4);
        // Nobody is known to answer: all places are for anybody.
        line_up(&mut lanes, now, "zabc");
        check(&mut lanes, now, "zabc");
        line_up(&mut lanes, now, "defzzz");
        answer(&mut lanes, now, "z");
        // Three that do not answer have their places already.
        check(&mut lanes, now, "z");
        answer(&mut lanes, now, "z");
        check(&mut lanes, now, "z");
        fail(&mut lanes, now, "a");
        check(&mut lanes, now, "d");
        answer(&mut lanes, now, "z");
        answer(&mut lanes, now, "b");
        // They take turns.
        line_up(&mut lanes, now, "bbb");
        check(&mut lanes, now, "ze");
        answer(&mut lanes, now, "z");
        check(&mut lanes, now, "b");
    }

    #[test]
    fn what_a_receiver_is_known_for_changes_with_its_calls_in_flight() {
        let (mut lanes, now) = lanes(8, 4);
        line_up(&mut lanes, now, "aaaab");
        check(&mut lanes, now, "abaaa");
        assert_eq!((lanes.flying, lanes.doubtful, lanes.answering), (5, 5, 0));
        answer(&mut lanes, now, "a");
        assert_eq!((lanes.flying, lanes.doubtful, lanes.answering), (4, 1, 1));
        fail(&mut lanes, now, "a");
        assert_eq!((lanes.flying, lanes.doubtful, lanes.answering), (3, 3, 0));
        answer(&mut lanes, now, "a");
        fail(&mut lanes, now, "a");
        answer(&mut lanes, now, "b");
        assert_eq!((lanes.flying, lanes.doubtful, lanes.answering), (0, 0, 1));
        // Listed while it answered, sent when it does not.
        line_up(&mut lanes, now, "b");
        lanes.clear();
        assert_eq!((lanes.known.len(), lanes.answering), (0, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut lanes, now) = lanes(9, 9);
        for number in 0..3 * REMEMBERED {
            let lane: Lane = number.to_string().into();
            lanes.line_up(now, &lane, Turn { chain: 1, call: 0 });
            assert!(lanes.next(now).is_some());
            match number % 2 {
                0 => lanes.answered(&lane),
                _ => drop(lanes.failed(now, &lane)),
            }
            lanes.leave(now, &lane);
            assert!(lanes.known.len() <= REMEMBERED + 1);
        }
        assert_eq!(lanes.answering, lanes.count_answering());
        // One that nothing is known of is not remembered at all.
        let before = lanes.known.len();
        line_up(&mut lanes, now, "a");
        assert!(lanes.next(now).is_some());
        lanes.leave(now, &"a".into());
        assert_eq!(lanes.known.len(), before);
    }
}
