package etcdapi

import (
	"context"
	"fmt"

	"github.com/quorate/quorate/kv"
)

// alarm lists alarms, or turns one on or off: through the log, so that whoever asks sees what is on now.
func (s *Server) alarm(ctx context.Context, request []byte) (*response, error) {
	return s.write(ctx, kv.KindAlarm, request)
}

// checkQuota refuses what would make this server's state outgrow its quota, and then raises the alarm,
// which makes all servers refuse it until somebody turns it off.
func (s *Server) checkQuota(ctx context.Context, kind kv.Kind, request []byte) error {
	quota := s.options.QuotaBytes
	if quota <= 0 {
		return nil
	}
	cost := kv.Cost(kind, request)
	if cost == 0 {
		return nil
	}
	size, _ := s.options.Size()
	if size+cost <= quota {
		return nil
	}
	alarm := kv.Alarm{Member: s.options.MemberID, Type: kv.AlarmNoSpace}
	if _, err := s.propose(ctx, kv.KindAlarm, kv.AlarmRequest(alarm)); err != nil {
		s.options.Logger.Warn("the state has outgrown its quota, and the alarm could not be raised", "size", size, "quota", quota, "err", err)
	} else {
		s.options.Logger.Warn("the state has outgrown its quota: puts are refused until the alarm is turned off",
			"size", size, "quota", quota, "todo", "compact and delete, or raise --quota-backend-bytes, then quorate alarm disarm")
	}
	return refusal(kv.CodeNoSpace)
}

// alarmTexts are the alarms that are on, as Status tells them.
func (s *Server) alarmTexts() (texts []string) {
	for _, a := range s.store.Alarms() {
		texts = append(texts, fmt.Sprintf("memberID:%d alarm:%v", a.Member, a.Type))
	}
	return texts
}

// hasAlarm reports whether an alarm of a type is on at any member.
func (s *Server) hasAlarm(t kv.AlarmType) bool {
	for _, a := range s.store.Alarms() {
		if a.Type == t {
			return true
		}
	}
	return false
}

// errAlarm says that an alarm is on, in the words that etcd's pages have.
func errAlarm(t kv.AlarmType) error { return fmt.Errorf("alarm activated: %v", t) }
