package request

import (
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// parseCompare reads one condition: target("key") operator "value". The quotes may be left out where
// there are no blanks or parentheses.
//
//	value("fruit/apple") = "red"
//	mod(fruit/apple) > 7
func parseCompare(line string) (clientv3.Cmp, error) {
	target, rest, found := strings.Cut(line, "(")
	if !found {
		return clientv3.Cmp{}, mistake(`not a condition: %s (want for example  mod("key") > "0")`, line)
	}
	key, rest, err := nextWord(rest, ")")
	if err != nil {
		return clientv3.Cmp{}, err
	}
	if rest == "" {
		return clientv3.Cmp{}, mistake("the parenthesis after %s is not closed: %s", target, line)
	}
	rest = strings.Trim(rest[1:], blanks)
	operator := rest[:len(rest)-len(strings.TrimLeft(rest, "=!<>"))]
	switch operator {
	case "=", "!=", "<", ">":
	default:
		return clientv3.Cmp{}, mistake("a condition needs one of = != < > behind the parenthesis: %s", line)
	}
	value, rest, err := nextWord(strings.TrimLeft(rest[len(operator):], blanks), blanks)
	if err != nil {
		return clientv3.Cmp{}, err
	}
	if strings.Trim(rest, blanks) != "" {
		return clientv3.Cmp{}, mistake("too much behind the condition: %s (quote what has blanks)", rest)
	}
	return compareOf(strings.Trim(target, blanks), key, operator, value)
}

func compareOf(target, key, operator, value string) (clientv3.Cmp, error) {
	if target == "val" || target == "value" {
		return clientv3.Compare(clientv3.Value(key), operator, value), nil
	}
	base := 10
	if target == "lease" {
		base = 16
	}
	number, err := strconv.ParseInt(value, base, 64)
	if err != nil {
		return clientv3.Cmp{}, mistake("%s is compared with a number, and not with %s", target, quoted(value))
	}
	switch target {
	case "ver", "version":
		return clientv3.Compare(clientv3.Version(key), operator, number), nil
	case "c", "create":
		return clientv3.Compare(clientv3.CreateRevision(key), operator, number), nil
	case "m", "mod":
		return clientv3.Compare(clientv3.ModRevision(key), operator, number), nil
	case "lease":
		return clientv3.Compare(clientv3.LeaseValue(key), operator, clientv3.LeaseID(number)), nil
	}
	return clientv3.Cmp{}, mistake("conditions are about value, version, create, mod or lease, and not %s", quoted(target))
}
