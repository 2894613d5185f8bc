package sim

import (
	"fmt"

	"github.com/quorate/quorate/raft"
)

// graph says which links remain: graph[from][to].
type graph [][]bool

func newGraph(n int) graph {
	g := make(graph, n)
	for i := range g {
		g[i] = make([]bool, n)
	}
	return g
}

func (g graph) both(a, b int) { g[a][b], g[b][a] = true, true }

// hub reports whether some server is linked both ways with a majority, itself included. Without one
// nobody could lead.
func (g graph) hub() bool {
	for a := range g {
		count := 1
		for b := range g {
			if a != b && g[a][b] && g[b][a] {
				count++
			}
		}
		if count > len(g)/2 {
			return true
		}
	}
	return false
}

// drawLinks draws the links that remain, so that there is a hub.
func (w *world) drawLinks() graph {
	n := len(w.servers)
	order := w.drawOrder("end.links.order")
	g := newGraph(n)
	switch w.dice.below("end.links.kind", 6) {
	case 0: // Quorum loss: one server hears everybody, and nobody else a majority.
		for _, to := range order[1:] {
			g.both(order[0], to)
		}
	case 1: // A chain.
		for i := range n - 1 {
			g.both(order[i], order[i+1])
		}
	case 2: // A ring.
		for i := range n {
			g.both(order[i], order[(i+1)%n])
		}
	case 3: // One server is cut off from everybody but one.
		g = w.drawGraph(order, 1)
		for _, other := range order[2:] {
			g[order[0]][other], g[other][order[0]] = false, false
		}
		g.both(order[0], order[1])
	default: // Any.
		g = w.drawGraph(order, 1+w.dice.below("end.links.dense", 3))
	}
	if !g.hub() {
		for _, to := range order[1 : n/2+1] {
			g.both(order[0], to)
		}
	}
	return g
}

// drawGraph draws a graph in which a link is there in dense cases of dense+1.
func (w *world) drawGraph(order []int, dense int) graph {
	g := newGraph(len(order))
	for _, a := range order {
		for _, b := range order {
			if a != b {
				g[a][b] = w.dice.below("end.links.link", dense+1) > 0
			}
		}
	}
	return g
}

// leaveLinks cuts all other links for ever.
func (w *world) leaveLinks(g graph) {
	left := w.linksWhere(func(from, to int) bool { return g[from][to] })
	cutForEver(w.linksWhere(func(from, to int) bool { return !g[from][to] }))
	w.end.staying = fmt.Sprintf("all servers are well, and for ever only these links: %s", linkNames(left))
	w.tell(nil, "%s", w.end.staying)
}

// nobodyCanBeElected reports whether the rules of Raft leave these logs and these links without a
// leader: everybody who is linked with a majority lacks entries that too many of its neighbours have.
// Logs change by leaders only, so that it stays so. (docs/adr/0008.)
func (w *world) nobodyCanBeElected() bool {
	for _, s := range w.servers {
		if s.replica.Core().Role() == raft.Leader || w.electable(s) {
			return false
		}
	}
	return true
}

// electable reports whether a majority is linked both ways with a server, and would vote for its log.
func (w *world) electable(s *server) bool {
	votes := 1
	for _, other := range w.servers {
		if other != s && w.linked(s, other) && s.upToDateFor(other) {
			votes++
		}
	}
	return votes > len(w.servers)/2
}

// upToDateFor reports whether the log is at least as up to date as the other's. (Paper §5.4.1.)
func (s *server) upToDateFor(other *server) bool {
	mine, others := s.replica.Core(), other.replica.Core()
	term, _ := mine.TermAt(mine.LastIndex())
	otherTerm, _ := others.TermAt(others.LastIndex())
	return term > otherTerm || term == otherTerm && mine.LastIndex() >= others.LastIndex()
}
