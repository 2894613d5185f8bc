package sim

import (
	"fmt"
	"strings"
)

// graySlow is how many times slower than usual the disk of a server is that stays gray.
const graySlow = 100

// leaveCore heals a majority, and freezes everybody else in a fault.
func (w *world) leaveCore() {
	n := len(w.servers)
	order := w.drawOrder("end.core.order")
	size := n/2 + 1 + w.dice.below("end.core.size", n-n/2-1)
	var core, rest []string
	for i, index := range order {
		s := w.servers[index]
		if i < size {
			s.heal()
			core = append(core, fmt.Sprint(s.id))
			continue
		}
		w.end.excused[index] = true
		rest = append(rest, fmt.Sprintf("server %d %s", s.id, s.freeze()))
	}
	w.end.staying = fmt.Sprintf("a core of servers %s has healed, and for ever %s", strings.Join(core, " "), strings.Join(rest, ", "))
	w.tell(nil, "%s", w.end.staying)
}

// drawOrder returns the servers in any order.
func (w *world) drawOrder(label string) []int {
	order := make([]int, len(w.servers))
	for i := range order {
		j := w.dice.below(label, i+1)
		order[i] = order[j]
		order[j] = i
	}
	return order
}

// freeze leaves a server in the fault that it is in, or in another, for ever, and returns what that is.
// Whatever it was to be relieved by belongs to a life that is over.
func (s *server) freeze() string {
	w := s.world
	s.frozen = true
	switch {
	case s.failing:
		s.crash(false)
		fallthrough
	case !s.up:
		s.life++
		return "is down"
	case s.paused:
		return "is paused"
	}
	incoming := w.linksWhere(func(_, to int) bool { return to == s.index })
	outgoing := w.linksWhere(func(from, _ int) bool { return from == s.index })
	s.slow = 0
	s.unstall()
	switch w.dice.below("end.freeze", 6) {
	case 0:
		s.crash(false)
		s.life++
		return "is down"
	case 1:
		s.paused = true
		return "is paused"
	case 2:
		cutForEver(incoming)
		return "cannot receive"
	case 3:
		cutForEver(outgoing)
		return "cannot send"
	case 4:
		cutForEver(incoming)
		cutForEver(outgoing)
		return "is cut off"
	}
	s.slow = graySlow
	return "has a slow disk"
}

func cutForEver(links []*link) {
	for _, l := range links {
		l.cuts++
	}
}
