package conn

import "time"

// failoverAddr is the address by which go-redis calls a client of NewFailoverClient.
const failoverAddr = "FailoverClient"

// Behind is for how long a server may go on answering this process as if nothing were while others are served by the one
// that has taken its place, or by its neighbours in a Cluster before it hears of that from them: an answer within that time
// says nothing about what was published there.
//
// Of Sentinels the process hears by itself, with a Set that Open made. A client of redis.NewFailoverClient that was passed
// in has its old connections closed by a Sentinel some 10 s later only.
func (s *Set) Behind() time.Duration {
	switch {
	case s.cluster != nil:
		return 250 * time.Millisecond
	case s.single.Addr == failoverAddr:
		return 30 * time.Second
	case s.bySentinel:
		return time.Second
	}
	return 0
}
