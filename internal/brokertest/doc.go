// Package brokertest holds the transitions of the broker against what internal/broker's scripts promise, on any server:
// the same cases run on the embedded one and on real ones. It is imported by tests only.
package brokertest
