package etcdapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/wire"
)

// alarm lists alarms, or turns one on or off: through the log, so that whoever asks sees what is on now.
func (s *Server) alarm(ctx context.Context, request []byte) (*response, error) {
	return s.write(ctx, kv.KindAlarm, request)
}

// checkQuota refuses what would make this server's state outgrow its quota, and then raises the alarm,
// which makes all servers refuse it until somebody turns it off. While it is on, what the state would refuse
// never gets into the log: who asks again and again must not fill the disks with that.
func (s *Server) checkQuota(ctx context.Context, kind kv.Kind, request []byte) error {
	cost := kv.Cost(kind, request)
	if cost == 0 {
		return nil
	}
	if slices.ContainsFunc(s.store.Alarms(), func(a kv.Alarm) bool { return a.Type == kv.AlarmNoSpace }) {
		return refusal(kv.CodeNoSpace)
	}
	quota := s.options.QuotaBytes
	if quota <= 0 {
		return nil
	}
	size, _ := s.options.Size()
	if size+cost <= quota {
		return nil
	}
	alarm := kv.Alarm{Member: s.options.MemberID, Type: kv.AlarmNoSpace}
	raise := wire.Command{Kind: uint8(kv.KindAlarm), Request: kv.AlarmRequest(alarm)}
	if _, err := s.replicate(ctx, raise); err != nil {
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

// corruption is an error while the alarm CORRUPT is on at any member, in the words of etcd's page.
func (s *Server) corruption(context.Context) error {
	if slices.ContainsFunc(s.store.Alarms(), func(a kv.Alarm) bool { return a.Type == kv.AlarmCorrupt }) {
		return fmt.Errorf("alarm activated: %v", kv.AlarmCorrupt)
	}
	return nil
}
