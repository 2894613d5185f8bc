package main

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Each of the two picks the ids of leases by itself where nobody has given one. So a lease that they
// have picked gets a name, which is used wherever requests and answers name leases, and one end's id on
// the way to it and from it. Names are numbers that are given to no other lease.

// firstName is the first such name.
const firstName = 1 << 20

// ids are what one end calls leases.
type ids struct {
	byName map[int64]int64 // its own ids
	names  map[int64]int64 // by its own id
}

func newIDs() ids { return ids{map[int64]int64{}, map[int64]int64{}} }

func (i *ids) add(name, id int64) { i.byName[name], i.names[id] = id, name }

// toEnd returns a request as one end understands it.
func (i *ids) toEnd(request proto.Message) proto.Message {
	clone := proto.Clone(request)
	renameLeases(clone.ProtoReflect(), i.byName)
	return clone
}

// fromEnd renames the leases of an answer.
func (i *ids) fromEnd(answer proto.Message) { renameLeases(answer.ProtoReflect(), i.names) }

// renameLeases renames leases wherever a message or one within it names one.
func renameLeases(m protoreflect.Message, names map[int64]int64) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() != nil && f.IsList():
			for i := range v.List().Len() {
				renameLeases(v.List().Get(i).Message(), names)
			}
		case f.Message() != nil:
			renameLeases(v.Message(), names)
		case f.Kind() == protoreflect.Int64Kind && (f.Name() == "lease" || f.Name() == "ID"):
			if name, ok := names[v.Int()]; ok {
				m.Set(f, protoreflect.ValueOfInt64(name))
			}
		}
		return true
	})
}
