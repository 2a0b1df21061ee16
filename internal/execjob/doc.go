// Package execjob is the handler that runs a command for each job: the args on stdin, the result from stdout, the verdict
// from the exit status. docs/exec.md is its contract.
package execjob
