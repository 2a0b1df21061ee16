// Package doctor checks a server and every structure of every queue while workers and producers are at it, says in words
// what is wrong, and mends it.
//
// No false alarm. What one script sees in one call (an id in two sorted sets, a list entry whose job runs) is so; what takes
// many calls to see (a job that is in no list) is put together from pages that may not miss an entry that stays where it is.
// Either way a defect counts only when a second round, after a pause, finds the same one, and when the script that would mend
// it, which looks for itself at one moment, says that it would.
//
// No loss. Each repair is one script that looks again and does nothing where the defect is gone; it is void 5 s after it was
// decided on. A job without a state becomes ready again. A job in several states stays in one: running, since what a claim
// writes is fenced and its worker or its recovery ends it; else finished, whose end was acknowledged; else scheduled, never
// early and sure to run; else ready rather than dead, since dead waits for people and is forgotten some day. No list is
// searched or cut: an entry that must go becomes a stale one, counted, which the next claim drops, as cancel does it.
//
// No standstill. Pages are small, and smaller where sessions are many or values large. Memory is bounded: ids that must be
// looked for in lists are gathered a million at a time (the process has about 120 MB then), with a pass over the lists for each.
package doctor
