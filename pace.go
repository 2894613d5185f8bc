package quorate

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
)

// How long a server waits for its leader. Where the options say nothing, that follows what replicas measure
// (docs/adr/0012); these are its bounds.
const (
	// voteWindow is for how long after a word from its leader a server refuses its vote to others: on all
	// servers alike.
	voteWindow = 100 * time.Millisecond
	// votePromise is for how long whoever answers its leader votes for nobody, by its clock: a constant of the
	// protocol, so that a leader knows how long leases may be. Servers that wait for less before they vote give
	// no such promise.
	votePromise = 100 * time.Millisecond
	// heartbeatInterval is how often an idle leader is heard.
	heartbeatInterval = 50 * time.Millisecond
	// leastDelay is the shortest campaign delay: when the first campaigns, the window of those who have heard
	// one heartbeat more is over too.
	leastDelay = voteWindow + heartbeatInterval
	// longestDelay bounds how long anybody waits, whatever is measured.
	longestDelay = 2 * time.Second
	// nominalDelay is what ElectionTimeout stands for where something else is reckoned in it.
	nominalDelay = 500 * time.Millisecond
	// roundTripEvery is how often the links are asked for their round trips.
	roundTripEvery = time.Second
)

// isTuned reports whether the campaign delay follows measurements: nobody has said what it is to be.
func (o *Options) isTuned() bool { return o.ElectionTimeout == 0 && o.HeartbeatInterval == 0 }

// setPace tells a replica how long to wait.
func (o *Options) setPace(r *replica.Options) {
	r.Raft = raft.Options{ElectionTicks: int(o.ElectionTimeout / tick), HeartbeatTicks: int(o.HeartbeatInterval / tick)}
	if o.isTuned() {
		r.Pace = replica.PaceOptions{MinTicks: int(leastDelay / tick), MaxTicks: int(longestDelay / tick)}
		r.Raft = raft.Options{
			ElectionTicks: int(nominalDelay / tick), WindowTicks: int(voteWindow / tick), HeartbeatTicks: int(heartbeatInterval / tick),
		}
	}
	r.Raft.PromiseTicks, r.Raft.LeaseReads = int(votePromise/tick), o.LeaseReads
}

// tickAll is the clock of all groups.
func (h *Host) tickAll() {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	var roundTrip time.Duration
	var asked time.Time
	for {
		select {
		case <-t.C:
			now := time.Now() // by the monotonic clock
			if now.Sub(asked) >= roundTripEvery {
				roundTrip, asked = majorityRoundTrip(h.links.Status()), now
			}
			for _, g := range h.allGroups() {
				g.putTick(rand.Uint64(), now.Sub(last), roundTrip)
			}
			last = now
		case <-h.context.Done():
			return
		}
	}
}

// majorityRoundTrip returns how long a message takes to a majority of all servers and back, this one included:
// to the slowest of those who answer soonest. Those who are not linked count as slowest; if too many of them are
// needed, it is the slowest of the others.
func majorityRoundTrip(peers []transport.PeerStatus) time.Duration {
	var known []time.Duration
	for i := range peers {
		if p := &peers[i]; p.RoundTrip > 0 && !p.ConnectedSince.IsZero() {
			known = append(known, p.RoundTrip)
		}
	}
	needed := min((len(peers)+1)/2, len(known)) // beside this server
	if needed == 0 {
		return 0
	}
	slices.Sort(known)
	return known[needed-1]
}

// tellUnlinked tells the groups that a link with a peer has broken.
func (h *Host) tellUnlinked(peer raft.ServerID) {
	for _, g := range h.allGroups() {
		g.put(replica.Unlinked{Peer: peer})
	}
}
