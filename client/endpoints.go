package client

import (
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// endpoints are the connections to servers, one each, so that it is known which server a request goes to:
// what one has not answered is sent to another. All requests go to the same server while it answers.
type endpoints struct {
	dial func(endpoint string) (*grpc.ClientConn, error)
	list func() []string

	mu      sync.Mutex // guards what follows
	current int        // in the list
	conns   map[string]*grpc.ClientConn
	closed  bool
}

// pick returns the connection to use now, and the name of its endpoint; of is how many there are. It is not one that is
// asked already, unless all are.
func (e *endpoints) pick(isAsked func(name string) bool) (conn *grpc.ClientConn, name string, of int, err error) {
	names := e.list()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, "", 0, ErrClosed
	case len(names) == 0:
		return nil, "", 0, errNoEndpoints
	}
	e.forget(names)
	for i := range names {
		if name = names[(e.current+i)%len(names)]; !isAsked(name) {
			break
		}
	}
	if conn = e.conns[name]; conn == nil {
		if conn, err = e.dial(name); err != nil {
			return nil, name, len(names), err
		}
		if e.conns == nil {
			e.conns = make(map[string]*grpc.ClientConn)
		}
		e.conns[name] = conn
	}
	if conn.GetState() == connectivity.TransientFailure {
		conn.ResetConnectBackoff() // it may be back: gRPC would find out in a second, or in two minutes
	}
	return conn, name, len(names), nil
}

// forget closes connections to endpoints that are no more in the list.
func (e *endpoints) forget(names []string) {
	for name, conn := range e.conns {
		if !slices.Contains(names, name) {
			conn.Close()
			delete(e.conns, name)
		}
	}
}

// failed goes on to the next endpoint, unless somebody has done so already.
func (e *endpoints) failed(name string) {
	names := e.list()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(names) > 0 && names[e.current%len(names)] == name {
		e.current = (e.current + 1) % len(names)
	}
}

func (e *endpoints) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.forget(nil)
}
