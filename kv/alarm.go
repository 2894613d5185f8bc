package kv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Alarm says that something is wrong at a member, until somebody says that it is not. Alarms are part of
// the replicated state, so that all servers refuse the same.
type Alarm struct {
	Member uint64
	Type   AlarmType
}

// AlarmType has the numbers of etcd's AlarmType.
type AlarmType int32

const (
	// AlarmNone is no alarm; in requests it stands for all.
	AlarmNone AlarmType = 0
	// AlarmNoSpace: a member's state has outgrown its quota. What would make it grow is refused: puts,
	// transactions in which there are puts, and leases.
	AlarmNoSpace AlarmType = 1
	// AlarmCorrupt: a member holds something else than the others. Nothing is served.
	AlarmCorrupt AlarmType = 2
)

func (t AlarmType) String() string {
	switch t {
	case AlarmNone:
		return "NONE"
	case AlarmNoSpace:
		return "NOSPACE"
	case AlarmCorrupt:
		return "CORRUPT"
	}
	return fmt.Sprintf("AlarmType(%d)", int32(t))
}

// maxAlarms bounds how many there are: two for each member of the largest cluster, several times over.
const maxAlarms = 1024

// alarms are those that are on, sorted. The slice is never changed, only replaced.
type alarms []Alarm

func (a Alarm) compare(b Alarm) int {
	return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Type, b.Type))
}

func (a alarms) has(t AlarmType) bool {
	return slices.ContainsFunc(a, func(alarm Alarm) bool { return alarm.Type == t })
}

// Alarms returns the alarms that are on, sorted by member. The slice must not be changed.
func (s *Store) Alarms() []Alarm { return s.current.Load().alarms }

// readable tells whether an alarm forbids reads.
func (s *Store) readable() Code {
	if s.current.Load().alarms.has(AlarmCorrupt) {
		return CodeCorrupt
	}
	return CodeOK
}

// alarmRequest is etcd's AlarmRequest.
type alarmRequest struct {
	action alarmAction
	Alarm
}

// alarmAction has the numbers of AlarmRequest.AlarmAction.
type alarmAction int32

const (
	alarmGet alarmAction = iota
	alarmActivate
	alarmDeactivate
)

func (r *alarmRequest) decode(b []byte) Code {
	code := eachField(b, func(f field) bool {
		switch {
		case f.is(1, varint):
			r.action = alarmAction(f.int)
		case f.is(2, varint):
			r.Member = f.int
		case f.is(3, varint):
			r.Type = AlarmType(f.int)
		default:
			return false
		}
		return true
	})
	if code != CodeOK {
		return code
	}
	if r.action < alarmGet || r.action > alarmDeactivate || r.Type < AlarmNone || r.Type > AlarmCorrupt {
		return CodeMalformed
	}
	return CodeOK
}

// AlarmRequest encodes etcd's request to raise an alarm, for those who raise it themselves.
func AlarmRequest(a Alarm) []byte {
	b := appendInt(nil, 1, int64(alarmActivate))
	b = appendInt(b, 2, int64(a.Member))
	return appendInt(b, 3, int64(a.Type))
}

// Fields of AlarmResponse and AlarmMember.
const (
	alarmAlarms = protowire.Number(2)
	alarmMember = protowire.Number(1)
	alarmType   = protowire.Number(2)
)

func appendAlarm(b []byte, a Alarm) []byte {
	size := sizeInt(alarmMember, int64(a.Member)) + sizeInt(alarmType, int64(a.Type))
	b = protowire.AppendVarint(protowire.AppendTag(b, alarmAlarms, octets), uint64(size))
	return appendInt(appendInt(b, alarmMember, int64(a.Member)), alarmType, int64(a.Type))
}

// executeAlarm lists alarms, or turns one on or off, and appends the response without its header: those
// listed; or the one that is on now, or was on before.
func (w *writer) executeAlarm(b, request []byte) ([]byte, Code) {
	var r alarmRequest
	if code := r.decode(request); code != CodeOK {
		return b, code
	}
	on := w.now.alarms
	at, found := slices.BinarySearchFunc(on, r.Alarm, Alarm.compare)
	switch r.action {
	case alarmGet:
		for _, a := range on {
			if r.Type == AlarmNone || r.Type == a.Type {
				b = appendAlarm(b, a)
			}
		}
		return b, CodeOK
	case alarmActivate:
		if r.Type == AlarmNone {
			return b, CodeOK
		}
		if !found {
			if len(on) >= maxAlarms {
				return b, CodeTooManyAlarms
			}
			w.now.alarms = slices.Insert(slices.Clone(on), at, r.Alarm)
			w.batch.Set(appendAlarmKey(w.key[:0], r.Alarm), []byte{alarmOn})
		}
	case alarmDeactivate:
		if !found {
			return b, CodeOK
		}
		w.now.alarms = slices.Delete(slices.Clone(on), at, at+1)
		w.batch.Delete(appendAlarmKey(w.key[:0], r.Alarm))
	}
	return appendAlarm(b, r.Alarm), CodeOK
}

const (
	alarmKeyBytes = 1 + 8 + 1 // space, member, type
	alarmOn       = 1         // the value
)

func appendAlarmKey(b []byte, a Alarm) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, spaceAlarms), a.Member), byte(a.Type))
}

// loadAlarms reads the space of alarms.
func loadAlarms(it Iterator) (on alarms, err error) {
	for ok := it.SeekGE([]byte{spaceAlarms}); ok && it.Key()[0] == spaceAlarms; ok = it.Next() {
		a, err := parseAlarm(it.Key(), it.Value())
		if err != nil {
			return nil, err
		}
		on = append(on, a)
	}
	return on, it.Error()
}

func parseAlarm(key, value []byte) (Alarm, error) {
	if len(key) != alarmKeyBytes || string(value) != string([]byte{alarmOn}) || key[9] == 0 || AlarmType(key[9]) > AlarmCorrupt {
		return Alarm{}, fmt.Errorf("alarm %x: %w", key, ErrCorrupt)
	}
	return Alarm{binary.BigEndian.Uint64(key[1:]), AlarmType(key[9])}, nil
}

// refuses tells whether alarms forbid a command.
func (a alarms) refuses(kind Kind, request []byte) Code {
	switch {
	case len(a) == 0 || kind == KindAlarm || kind == KindNone:
		return CodeOK
	case a.has(AlarmCorrupt):
		return CodeCorrupt
	case Check(kind, request, appliedLimits()) != CodeOK:
		return CodeOK // it is refused for that
	case a.has(AlarmNoSpace) && Cost(kind, request) > 0:
		return CodeNoSpace
	}
	return CodeOK
}

// etcd's numbers: of a put, besides key and value; and of a lease.
const (
	putCost   = 256
	leaseCost = 64
)

// Cost estimates by how many bytes a request would make the state grow: 256 for each put, and what is
// put, and 64 for a lease. Of a transaction's branches the dearer one counts. It is 0 for what only reads or takes away. The
// request must have passed Check, which bounds how deep it is nested.
//
// Differs: etcd counts only the puts of the outermost transaction.
func Cost(kind Kind, request []byte) int64 {
	switch kind {
	case KindPut:
		var p putRequest
		if p.decode(request) != CodeOK {
			return 0
		}
		return putCost + int64(len(p.key)+len(p.value))
	case KindLeaseGrant:
		return leaseCost
	case KindTxn:
		return max(branchCost(request, true), branchCost(request, false))
	}
	return 0
}

func branchCost(t txnRequest, taken bool) (cost int64) {
	eachOp(t, taken, func(op *requestOp) Code {
		switch op.kind {
		case opPut:
			cost += Cost(KindPut, op.body)
		case opTxn:
			cost += Cost(KindTxn, op.body)
		}
		return CodeOK
	})
	return cost
}
