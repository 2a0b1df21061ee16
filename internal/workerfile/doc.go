// Package workerfile reads worker.yaml, the configuration of the worker binary. It is strict: every fault is reported,
// with file, line, column, field and what is allowed. It is pure but for the files that a configuration names (secrets
// and the like), which it reads beside it, and it never prints a secret. docs/worker-yaml.md is the reference.
//
// The structs below File are the one description of the format: their tags name the fields and their bounds, and the
// decoder, the messages and the JSON Schema are made of them.
package workerfile
