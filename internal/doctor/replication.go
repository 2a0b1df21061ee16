package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// What of a replica is worth a word.
const (
	replicaSilent = 10       // s
	replicaBehind = 16 << 20 // bytes
)

// replication looks at the replicas of a primary.
func (h *host) replication() {
	const check = "replication"
	n, ok := h.number("connected_slaves")
	if !ok {
		h.hidden(check, "its replicas")
		return
	}
	least := h.settings["min-replicas-to-write"]
	if n == 0 {
		if least != "" && least != "0" {
			h.say(Problem, check, "no replicas, and min-replicas-to-write is "+least, "It refuses writes.")
			return
		}
		h.say(OK, check, "no replicas", "")
		return
	}
	offset, _ := h.number("master_repl_offset")
	sound := int64(0)
	for i := range n {
		if h.replica(h.info[fmt.Sprintf("slave%d", i)], offset) {
			sound++
		}
	}
	text := fmt.Sprintf("replicas: %d, sound: %d", n, sound)
	switch {
	case least == "":
		h.say(OK, check, text, "")
	case least == "0":
		h.say(Note, check, text+", min-replicas-to-write 0", "A failover loses what was not passed on; min-replicas-to-write 1 bounds that to some seconds.")
	default:
		h.say(OK, check, text+", min-replicas-to-write "+least, "")
	}
}

// replica judges a line such as "ip=10.0.0.2,port=6379,state=online,offset=5,lag=1".
func (h *host) replica(line string, primary int64) (sound bool) {
	fields := make(map[string]string)
	for pair := range strings.SplitSeq(line, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			fields[key] = value
		}
	}
	name := fields["ip"] + ":" + fields["port"]
	offset, _ := strconv.ParseInt(fields["offset"], 10, 64)
	lag, _ := strconv.ParseInt(fields["lag"], 10, 64)
	switch {
	case fields["state"] != "online":
		h.say(Warning, "replica", fmt.Sprintf("%s is %s", name, fields["state"]), "It cannot take over without loss yet.")
	case lag > replicaSilent:
		h.say(Warning, "replica", fmt.Sprintf("%s was last heard of %d s ago", name, lag), "It cannot take over without loss.")
	case primary-offset > replicaBehind:
		h.say(Warning, "replica", fmt.Sprintf("%s is %s behind", name, bytesText(primary-offset)), "A failover now loses that.")
	default:
		return true
	}
	return false
}
