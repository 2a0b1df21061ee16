package workerfile

import (
	"fmt"
	"net"
	"strconv"
)

// CheckListen tells whether something can be an address to listen on: HOST:PORT, where an empty host is every address of
// the machine and port 0 any free one.
func CheckListen(addr string) error {
	const allowed = "allowed: HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:9090"
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("is no address; %s", allowed)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("has no port that is one; %s", allowed)
	}
	for _, r := range host {
		if r <= ' ' || r == '/' || r == '@' || r > '~' {
			return fmt.Errorf("has a host that is none; %s", allowed)
		}
	}
	return nil
}
