// Package budget holds the tests that bound what a job allocates on its way through the public API. They run without the
// race detector, under which pools forget.
package budget
