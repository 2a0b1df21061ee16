package doctor

// words is what is said of a defect of a queue or of the namespace.
type words struct {
	check string
	level Level
	title string // ": 3" follows
	means string
	mend  string // what a repair does; empty = nothing
}

// Names of the checks of structures.
const (
	lost         = "job-without-state"
	tangled      = "job-in-several-states"
	listedTwice  = "job-listed-twice"
	bareEntry    = "entry-without-job"
	bareMember   = "member-without-job"
	bareRecord   = "record-without-job"
	cutRecord    = "record-cut-off"
	bareResult   = "result-without-job"
	bareMark     = "cancel-mark-without-claim"
	ghostCount   = "stale-entries-of-a-job"
	counter      = "counter"
	unlisted     = "session-not-listed"
	bareLanes    = "lanes-without-session"
	lateSession  = "session-expires-late"
	lateRecovery = "recovery-put-off"
	abandoned    = "session-not-recovered"
	wrongType    = "key-of-another-type"
	noName       = "queue-not-listed"
	badName      = "name-of-no-queue"
	pokes        = "poke-without-expiry"
	goneWorkers  = "worker-gone"
	goneOrders   = "order-to-nobody"
	strangeKeys  = "unknown-key"
	asideKeys    = "key-put-aside"
	strangeIDs   = "member-that-is-no-id"
)

// vocabulary is in the order in which things are told, and mended.
var vocabulary = []words{
	{wrongType, Problem, "keys of another type than Tidemill's", "The queue or the topic in its name, if any, stands still.",
		"renames them to ...:aside:..., in the same slot, with all they hold"},
	{noName, Problem, "queues with keys whose names are not listed", "They are in no listing and no table.", "lists them"},
	{badName, Note, "listed names that no queue can have", "They show in listings only.", "takes them off the list"},
	{unlisted, Problem, "sessions that hold jobs and are not listed", "Nobody would ever take these jobs back.",
		"lists them as lost, so that a worker recovers their jobs like those of a crash"},
	{bareLanes, Warning, "call records of sessions that are gone", "They take memory.", "removes them"},
	{lateSession, Problem, "sessions that expire hours too late", "Should their workers die, nobody takes their jobs back until then.",
		"lets them expire within the session TTL; a live worker prolongs its own"},
	{lateRecovery, Problem, "recovery of lost jobs put off for hours", "A worker that dies holds its jobs until then.", "allows it from now on"},
	{abandoned, Warning, "sessions that expired and are not recovered though workers live", "Their jobs wait. A worker that keeps failing to recover says why in its log.", ""},
	{tangled, Problem, "jobs in several states at once", "They may run twice, or at once.",
		"leaves each in one: running, else finished, else scheduled, else ready, else dead"},
	{bareEntry, Problem, "list entries without a job", "Depths are wrong; the id, used again, would run twice.",
		"counts them as stale, so that claims drop them"},
	{listedTwice, Problem, "jobs listed more than once", "They may run twice, or at once.", "makes these entries stale and puts a new one at the head"},
	{bareMember, Problem, "members of sorted sets without a job", "Counts are wrong; the id, used again, would be in two states.", "removes them"},
	{bareRecord, Warning, "state records without a job", "They take memory; the id, used again, would begin with their attempts.", "removes them"},
	{cutRecord, Problem, "state records that are cut off", "Calls that read them fail.", "fills them up with zeros"},
	{bareResult, Warning, "results without a job", "They take memory.", "removes them"},
	{bareMark, Warning, "cancel marks that name no running claim", "Each heartbeat carries them.", "removes them"},
	{lost, Problem, "jobs in no state", "They never run, and are in no listing.", "puts them at the end of ready; those that cannot be read go to dead, with the reason"},
	{ghostCount, Problem, "jobs whose stale list entries are miscounted", "Their ids may stay taken, or run twice when used again.", "counts them anew"},
	{counter, Problem, "counters that disagree with what is there", "Depths are wrong; one that is no number begins anew when it is added to.", "sets them to what was counted, and removes those that are no numbers"},
	{pokes, Note, "wake-up lists that never expire", "They take memory.", "lets them expire in 10 s"},
	{goneWorkers, Note, "worker processes in the listing that have long been gone", "They show in listings only; the next worker takes them off.", "takes them off"},
	{goneOrders, Note, "orders to worker processes that are not there", "They take memory.", "removes them"},
	{asideKeys, Note, "keys that an earlier repair put aside", "Look at them, and delete them when nothing in them is needed.", ""},
	{strangeKeys, Note, "keys under the namespace's prefix that are not Tidemill's", "They may be your own, or of a newer version.", ""},
	{strangeIDs, Note, "members that are no ids", "Claims and timers drop those in lists and sets that they come to; others only take memory.", ""},
}
