// Package blackbox runs both binaries as people do, with scripts that are the same for every topology: only REDIS_URL
// changes. A script is a file of testdata; see github.com/rogpeppe/go-internal/testscript for its language. It is a test
// and nothing else.
//
// Beside testscript's own commands a script has worker and enqueue (by exec), and "wait-for PATTERN COMMAND...", which runs
// a command again until its output matches. Scripts run side by side, each in a namespace of its own (TIDEMILL_NAMESPACE),
// whose name begins with "tm" as the ACL of redistest.Permissions wants.
package blackbox
