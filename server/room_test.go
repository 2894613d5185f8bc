package server

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

func TestTheEngineMayFindNoRoomForAWhile(t *testing.T) {
	var p patience
	began := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		lasts bool
	}{
		{0, true}, {9 * time.Second, true}, {10 * time.Second, false}, {15 * time.Second, false},
		{25 * time.Second, true}, // it had not happened for long
		{34 * time.Second, true}, {35 * time.Second, false},
	} {
		if got := p.lasts(began.Add(step.after), 10*time.Second); got != step.lasts {
			t.Errorf("after %v: it is borne: %v", step.after, got)
		}
	}
}

func TestOnlyAFullDiskIsBorneInTheBackground(t *testing.T) {
	for _, test := range []struct {
		err  error
		ends bool
	}{
		{fmt.Errorf("flush: %w", syscall.ENOSPC), false},
		{fmt.Errorf("flush: %w", syscall.EIO), true},
	} {
		var got error
		s := &Server{done: make(chan struct{}), logger: Options{}.withDefaults().Logger, options: Options{OnFatal: func(err error) { got = err }}}
		s.stateFailed("state")(test.err)
		if (got != nil) != test.ends || got != nil && !errors.Is(got, test.err) {
			t.Errorf("%v: it ends with %v", test.err, got)
		}
	}
}
