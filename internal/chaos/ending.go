package chaos

// Seen is a job that a listing shows at the end.
type Seen struct {
	Queue, ID, Name string
	State           string
	Token           int64 // of a success that kept its result: the claim that Redis took
	Crashed         bool  // dead, for it crashed its worker too often
}

// Ending is what Redis holds once all is quiet.
type Ending struct {
	Seen     []Seen
	Counters map[string]map[string]int64 // of each queue: what it counted since the start
	Places   map[string][]string         // every id found in the keys, and where; none is stranded
	Stuck    string                      // what was still under way when waiting was given up
	Leftover []string                    // keys that remained when all that is kept had been purged
	Fallen   []string                    // processes that ended by themselves, and how
}
