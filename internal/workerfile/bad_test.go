package workerfile

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// good is what the rows below begin with, so that their fault stands in line 2.
const good = "handlers: {x: {builtin: log}}\n"

// text makes a source of a text, with some variables and files.
func text(s string) Source {
	variables := map[string]string{"N": "20", "EMPTY": "", "WORD": "loud", "SPY": "s3cret"}
	files := map[string]string{"/etc/tm/pw": "hunter2\n", "/etc/tm/empty": "\n", "/etc/tm/nul": "a\x00b", "/etc/tm/ca.pem": "CA",
		"/etc/tm/url": "redis://:hunter2@h:1/0\r\n", "/run/abs": "absolute"}
	return Source{Name: "worker.yaml", Dir: "/etc/tm", Data: []byte(s),
		Lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		Read: func(path string) ([]byte, error) {
			if data, ok := files[path]; ok {
				return []byte(data), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}}
}

const top = "allowed: redis, namespace, concurrency, queues, strict, handlers, subscriptions, session_ttl, crash_limit, max_connections, shutdown, listen, log"

// bad are files with faults. Beyond: no JSON Schema can know it.
var bad = []struct {
	name, file, want string
	beyond           bool
}{
	{name: "subscriptions no list", file: good + "subscriptions: {topic: a}\n", want: ":2:16: subscriptions: a mapping is no list; such as [{topic: orders, durable: shipping, enqueue: {kind: ship}}]"},
	{name: "no subscriptions", file: good + "subscriptions: []\n", want: ":2:16: subscriptions: is empty; name a topic, or leave it out; such as subscriptions: [{topic: orders, enqueue: {kind: ship}}]"},
	{name: "subscription a text", file: good + "subscriptions: [orders]\n", want: ":2:17: subscriptions[0]: a text is no mapping; such as {topic: orders, durable: shipping, enqueue: {kind: ship}}"},
	{name: "subscription's field", file: good + "subscriptions:\n  - topic: a\n    enqeue: {kind: x}\n", want: ":4:5: subscriptions[0].enqeue: unknown field; did you mean enqueue? allowed: topic, pattern, durable, enqueue"},
	{name: "subscription's field at the top", file: good + "durable: a\n", want: ":2:1: durable: unknown field; it belongs into the list subscriptions; " + top},
	{name: "subscription to nothing", file: good + "subscriptions: [{enqueue: {kind: x}}]\n", want: ":2:17: subscriptions[0]: has nothing to subscribe to; give one of topic, pattern"},
	{name: "topic and pattern", file: good + "subscriptions:\n- pattern: \"a*\"\n  topic: a\n  enqueue: {kind: x}\n", want: ":4:10: subscriptions[0].topic: topic and pattern stand beside each other; allowed: one of them"},
	{name: "durable pattern", file: good + "subscriptions: [{pattern: \"a*\", durable: g, enqueue: {kind: x}}]\n",
		want: ":2:42: subscriptions[0].durable: does not go with pattern: each durable topic has a stream of its own; name them one by one with topic"},
	{name: "durable group", file: good + "subscriptions: [{topic: a, durable: \"g h\", enqueue: {kind: x}}]\n",
		want: ":2:37: subscriptions[0].durable: \"g h\" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :", beyond: true},
	{name: "durable topic", file: good + "subscriptions: [{topic: \"a b\", durable: g, enqueue: {kind: x}}]\n",
		want: ":2:25: subscriptions[0].topic: \"a b\" is no name of a durable topic; allowed are 1 to 255 bytes of printable UTF-8 text without spaces, { and }", beyond: true},
	{name: "no job", file: good + "subscriptions: [{topic: a}]\n", want: ":2:17: subscriptions[0].enqueue: is missing; such as enqueue: {kind: ship}"},
	{name: "no kind", file: good + "subscriptions: [{topic: a, enqueue: {queue: b}}]\n", want: ":2:37: subscriptions[0].enqueue.kind: is missing; such as kind: ship"},
	{name: "kind with a space", file: good + "subscriptions: [{topic: a, enqueue: {kind: \"a b\"}}]\n",
		want: ":2:44: subscriptions[0].enqueue.kind: \"a b\"; allowed: text without spaces and control characters", beyond: true},
	{name: "kind a pattern", file: good + "subscriptions: [{topic: a, enqueue: {kind: \"a.*\"}}]\n", want: ":2:44: subscriptions[0].enqueue.kind: \"a.*\" is a pattern; jobs need a kind of their own", beyond: true},
	{name: "job's queue", file: good + "subscriptions: [{topic: a, enqueue: {kind: x, queue: \"a b\"}}]\n",
		want: ":2:54: subscriptions[0].enqueue.queue: \"a b\" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :", beyond: true},
	{name: "the same twice", file: good + "subscriptions:\n- {topic: a, enqueue: {kind: x}}\n- {topic: a, enqueue: {kind: x, retain: 1m}}\n",
		want: ":4:3: subscriptions[1]: says what subscriptions[0] says; leave one of them out", beyond: true},
	{name: "empty", file: "", want: `: is empty; the least it needs is handlers, such as: handlers: {"demo.*": {builtin: log}}`, beyond: true},
	{name: "too deep", file: good + strings.Repeat("[", 200_000), want: ":2:101: is nested deeper than 100: that is no worker.yaml", beyond: true},
	{name: "too deep by dashes", file: "a: '- - ['\n" + strings.Repeat("- ", 200_000), want: ":2:201: is nested deeper than 100: that is no worker.yaml", beyond: true},
	{name: "ruler of a comment", file: "# " + strings.Repeat("- ", 200) + strings.Repeat("[-", 200) + "\nhandlers: {x: {builtin: lag}}\n",
		want: `:2:25: handlers.x.builtin: "lag" is not known; did you mean log? allowed: log, noop, sleep, fail`},
	{name: "comments only", file: "# nothing\n", want: `: is empty; the least it needs is handlers, such as: handlers: {"demo.*": {builtin: log}}`, beyond: true},
	{name: "a text", file: "hello\n", want: `:1:1: a text is no mapping; such as handlers: {"demo.*": {builtin: log}}`},
	{name: "a list", file: "- a\n", want: `:1:1: a list is no mapping; such as handlers: {"demo.*": {builtin: log}}`},
	{name: "two documents", file: good + "---\na: 1\n", want: ":3:1: a second document begins; allowed: one a file, without ---", beyond: true},
	{name: "tab", file: "handlers:\n\tx: 1\n", want: ":2:1: is not YAML: a tab stands where spaces are wanted", beyond: true},
	{name: "open bracket", file: "a: [1,2\nb: 3\n", want: ":1:4: is not YAML: this [ is not closed: a ] is missing", beyond: true},
	{name: "open brace", file: "queues: {a: {weight: 1}\nhandlers:\n  x: {builtin: log}\n", want: ":1:9: is not YAML: this { is not closed: a } is missing", beyond: true},
	{name: "open bracket at the end", file: good + "queues: {a: [b\n", want: ":2:13: is not YAML: this [ is not closed: a ] is missing", beyond: true},
	{name: "open bracket in braces", file: "handlers:\n  x: {exec: {command: [a, \"]\"}} # ]\n", want: ":2:23: is not YAML: this [ is not closed: a ] is missing before the } in line 2, column 30", beyond: true},
	{name: "open brace beside a quoted variable", file: "handlers:\n  x: {exec: {command: [a], env: [\"A=${N}\"]}\n", want: ":2:6: is not YAML: this { is not closed: a } is missing", beyond: true},
	{name: "brace that closes nothing", file: "handlers:\n  x: {builtin: log}}\n", want: ":2:20: is not YAML: this } closes nothing", beyond: true},
	{name: "bracket that closes nothing", file: "handlers: {x: {exec: {command: [a]]}}}\n", want: ":1:35: is not YAML: this ] closes nothing", beyond: true},
	{name: "no comma", file: "handlers: {x: {builtin: \"log\" retain: 5s}}\n", want: ":1:31: is not YAML: a comma or a } is missing before this", beyond: true},
	{name: "star", file: "handlers:\n  x: {builtin: log}\n  *: {builtin: log}\n", want: ":3:3: is not YAML: a key that begins with * must be in quotes: write \"*\"", beyond: true},
	{name: "star with lines below", file: "handlers:\n  *:\n    builtin: log\n", want: ":2:3: is not YAML: a key that begins with * must be in quotes: write \"*\"", beyond: true},
	{name: "star in braces", file: "handlers: {*: {builtin: log}}\n", want: ":1:12: is not YAML: a key that begins with * must be in quotes: write \"*\"", beyond: true},
	{name: "star before a space", file: "handlers:\n  *x : {builtin: log}\n", want: ":2:3: handlers: a key must be a word or a text in quotes; one that begins with * must be in quotes", beyond: true},
	{name: "alias and another fault", file: "a: &b 1\nc: *b\nd: e: f\n", want: ":3:4: is not YAML: mapping value is not allowed in this context", beyond: true},
	{name: "open quote", file: good + "a: \"x\n", want: ":2:4: is not YAML: the quote that begins here has no end", beyond: true},
	{name: "colon in a text", file: good + "a: b: c\n", want: ":2:4: is not YAML: mapping value is not allowed in this context", beyond: true},
	{name: "variable in braces", file: good + "queues: {a: {weight: ${N}}}\n", want: ":2:23: is not YAML: within { } put a variable in quotes: \"${NAME}\"", beyond: true},
	{name: "not UTF-8", file: good + "namespace: \xff\n", want: ":2:12: byte 0xff is not UTF-8 text without control characters; save the file as UTF-8", beyond: true},
	{name: "UTF-16", file: "\xff\xfeh\x00", want: ":1:1: byte 0xff is not UTF-8 text without control characters; save the file as UTF-8", beyond: true},
	{name: "NUL", file: good + "namespace: \x00\n", want: ":2:12: byte 0x00 is not UTF-8 text without control characters; save the file as UTF-8", beyond: true},
	{name: "huge", file: strings.Repeat("# comment\n", 200_000), want: ": is larger than 1048576 bytes: that is no worker.yaml", beyond: true},

	{name: "unknown field", file: good + "concurency: 5\n", want: ":2:1: concurency: unknown field; did you mean concurrency? " + top},
	{name: "unknown field, nothing near", file: good + "frobnicate: 5\n", want: ":2:1: frobnicate: unknown field; " + top},
	{name: "field twice", file: good + "handlers: {y: {builtin: noop}}\n", want: ":2:1: handlers: is given twice, first in line 1", beyond: true},
	{name: "a list as key", file: good + "? [a]\n: b\n", want: ":3:1: is not YAML: found an invalid key for this map", beyond: true},
	{name: "field misspelled that is needed", file: "handler:\n  x: {builtin: log}\n", want: ":1:1: handler: unknown field; did you mean handlers? " + top},
	{name: "field of a section at the top", file: good + "level: debug\n", want: ":2:1: level: unknown field; it belongs under log; " + top},
	{name: "field of a kind at the top", file: good + "exec: {command: [a]}\n", want: ":2:1: exec: unknown field; it belongs under handlers, below a kind; " + top},
	{name: "no handlers", file: "concurrency: 5\n", want: `:1:1: handlers: is missing; such as handlers: {"demo.*": {builtin: log}}`},

	{name: "number too small", file: good + "concurrency: 0\n", want: ":2:14: concurrency: 0 is out of range; allowed: 1 to 1000000"},
	{name: "negative number", file: good + "crash_limit: -1\n", want: ":2:14: crash_limit: -1 is out of range; allowed: 1 to 100"},
	{name: "number too large", file: good + "concurrency: 99999999999999999999\n", want: ":2:14: concurrency: \"99999999999999999999\" is no whole number; allowed: 1 to 1000000"},
	{name: "listen without a host", file: good + "listen: 9090\n", want: `:2:9: listen: "9090" is no address; allowed: HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:9090`, beyond: true},
	{name: "listen on a URL", file: good + "listen: http://127.0.0.1:9090\n", want: `:2:9: listen: "http://127.0.0.1:9090" is no address; allowed: HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:9090`, beyond: true},
	{name: "listen on no port", file: good + "listen: localhost:65536\n", want: `:2:9: listen: "localhost:65536" has no port that is one; allowed: HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:9090`, beyond: true},
	{name: "number in quotes", file: good + "concurrency: \"20\"\n", want: ":2:14: concurrency: \"20\" is a text; write 20 without quotes"},
	{name: "text for a number", file: good + "concurrency: many\n", want: ":2:14: concurrency: \"many\" is no whole number; allowed: 1 to 1000000"},
	{name: "number that begins with 0", file: good + "concurrency: 010\n", want: ":2:14: concurrency: 010 begins with 0, and is octal to some who read YAML and decimal to others; leave the 0 out", beyond: true},
	{name: "fraction", file: good + "concurrency: 2.5\n", want: ":2:14: concurrency: 2.5 is no whole number; allowed: 1 to 1000000"},
	{name: "list for a number", file: good + "concurrency: [1]\n", want: ":2:14: concurrency: a list stands where a whole number is wanted; such as 20"},
	{name: "mapping for a number", file: good + "concurrency: {a: 1}\n", want: ":2:14: concurrency: a mapping stands where a whole number is wanted; such as 20"},
	{name: "no value", file: good + "concurrency:\n", want: ":2:1: concurrency: has no value; give one, or leave the line out; such as concurrency: 20"},
	{name: "too few connections", file: good + "max_connections: 3\n", want: ":2:18: max_connections: 3 is out of range; allowed: 4 to 100000"},

	{name: "duration without unit", file: good + "session_ttl: 5\n", want: ":2:14: session_ttl: 5 has no unit; write such as 5s"},
	{name: "duration without unit in quotes", file: good + "session_ttl: \"5\"\n", want: ":2:14: session_ttl: \"5\" has no unit; write such as 5s"},
	{name: "duration in days", file: good + "session_ttl: 2d\n", want: ":2:14: session_ttl: \"2d\" is no duration; units are ms, s, m, h, such as 300ms, 5s, 1m30s, 2h; for 2d write 48h"},
	{name: "duration in words", file: good + "session_ttl: ten minutes\n", want: ":2:14: session_ttl: \"ten minutes\" is no duration; units are ms, s, m, h, such as 300ms, 5s, 1m30s, 2h"},
	{name: "duration too short", file: good + "session_ttl: 1s\n", want: ":2:14: session_ttl: \"1s\" is out of range; allowed: 2s to 1h", beyond: true},
	{name: "negative duration", file: good + "shutdown: {drain: -1s}\n", want: ":2:19: shutdown.drain: \"-1s\" is out of range; allowed: 0s or more"},
	{name: "yes for true", file: good + "strict: yes\n", want: ":2:9: strict: \"yes\" is not true or false"},
	{name: "true in quotes", file: good + "strict: \"true\"\n", want: ":2:9: strict: \"true\" is a text; write true without quotes"},
	{name: "unknown word", file: good + "log: {level: loud}\n", want: ":2:14: log.level: \"loud\" is not known; allowed: debug, info, warn, error"},
	{name: "near word", file: good + "log: {format: jsn}\n", want: ":2:15: log.format: \"jsn\" is not known; did you mean json? allowed: auto, pretty, json"},
	{name: "text for a section", file: good + "log: info\n", want: ":2:6: log: a text is no mapping; such as {level: info}"},
	{name: "namespace", file: good + "namespace: a b\n", want: ":2:12: namespace: \"a b\" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :", beyond: true},
	{name: "empty namespace", file: good + "namespace: ''\n", want: ":2:12: namespace: \"\" is empty; give a value, or leave the line out; such as namespace: tm"},
	{name: "tag", file: good + "concurrency: !!int 5\n", want: ":2:14: concurrency: tag !!int is not allowed; leave it out", beyond: true},
	{name: "alias of nothing", file: good + "concurrency: *n\n", want: ":2:14: concurrency: no anchor &n stands in this file", beyond: true},
	{name: "anchor twice", file: "handlers: {x: {builtin: &a log}}\nnamespace: &a tm\n", want: ":2:12: anchor &a is defined twice", beyond: true},
	{name: "merge of itself", file: "handlers: {x: &h {builtin: log, <<: *h}}\n", want: ":1:37: handlers.x: <<: of a mapping that merges itself is not allowed", beyond: true},
	{name: "merge of a text", file: "handlers: {x: {builtin: &b log, <<: *b}}\n", want: ":1:37: handlers.x: <<: wants one mapping, such as <<: *name", beyond: true},

	{name: "list of queues", file: good + "queues: [a, b]\n", want: ":2:9: queues: a list is no mapping; such as {critical: {weight: 6}, default: {}}"},
	{name: "no queues", file: good + "queues: {}\n", want: ":2:9: queues: is empty; name one at least, or leave it out for the queue default; such as queues: {default: {}}"},
	{name: "queue's name", file: good + "queues: {größe: {}}\n", want: ":2:10: queues.\"größe\": \"größe\" is not a name; allowed are 1 to 128 of A-Z a-z 0-9 _ - . :"},
	{name: "queue twice", file: good + "queues: {a: {}, a: {}}\n", want: ":2:17: queues.a: is given twice, first in line 2", beyond: true},
	{name: "queue's weight", file: good + "queues: {a: {weight: 0}}\n", want: ":2:22: queues.a.weight: 0 is out of range; allowed: 1 to 1000"},
	{name: "queue's field", file: good + "queues:\n  a:\n    wieght: 1\n", want: ":4:5: queues.a.wieght: unknown field; did you mean weight? allowed: weight, concurrency, lifecycle"},
	{name: "queue as number", file: good + "queues: {a: 5}\n", want: ":2:13: queues.a: the value 5 is no mapping; such as {weight: 6}"},
	{name: "weight in strict order", file: good + "strict: true\nqueues: {a: {weight: 2}, b: }\n", want: ":3:22: queues.a.weight: means nothing with strict: true; leave one of them out", beyond: true},

	{name: "handlers empty", file: "handlers: {}\n", want: `:1:11: handlers: is empty: nothing would be run; such as handlers: {"demo.*": {builtin: log}}`},
	{name: "handler without value", file: "handlers:\n  x:\n", want: ":2:3: handlers.x: has no value; give one, or leave the line out"},
	{name: "handler with nothing to run", file: "handlers: {x: {timeout: 5s}}\n", want: ":1:12: handlers.x: has nothing to run; give one of exec, http, builtin"},
	{name: "handler with two", file: "handlers: {x: {http: {url: \"http://h\"}, exec: {command: [a]}}}\n", want: ":1:47: handlers.x.exec: stands beside http; allowed: one of exec, http, builtin"},
	{name: "unknown builtin", file: "handlers: {x: {builtin: lag}}\n", want: ":1:25: handlers.x.builtin: \"lag\" is not known; did you mean log? allowed: log, noop, sleep, fail"},
	{name: "star in the middle", file: "handlers: {\"a*b\": {builtin: log}}\n", want: `:1:12: handlers."a*b": a * stands for any text at the end of a pattern, and nowhere else; such as "a*"`},
	{name: "kind with a space", file: "handlers: {\"a b\": {builtin: log}}\n", want: `:1:12: handlers."a b": kind: "a b"; allowed: text without spaces and control characters`},
	{name: "handler's field", file: "handlers:\n  \"image.*\":\n    exec: {command: [./job], timout: 5m}\n", want: `:3:30: handlers."image.*".exec.timout: unknown field; did you mean timeout? allowed: command, env, pass_env, timeout, kill_after`},

	{name: "command as text", file: "handlers: {x: {exec: {command: ./job --json}}}\n", want: `:1:32: handlers.x.exec.command: a text is no list; such as [./job, --json]; no shell reads it, for one write [sh, -c, "a | b"]`},
	{name: "exec as text", file: "handlers: {x: {exec: ./job}}\n", want: ":1:22: handlers.x.exec: a text is no mapping; such as {command: [./job]}"},
	{name: "no command", file: "handlers: {x: {exec: {}}}\n", want: ":1:22: handlers.x.exec.command: is missing; such as command: [./job, --json]"},
	{name: "command misspelled", file: "handlers: {x: {exec: {comand: [a]}}}\n", want: ":1:23: handlers.x.exec.comand: unknown field; did you mean command? allowed: command, env, pass_env, timeout, kill_after"},
	{name: "command without exec", file: "handlers:\n  x:\n    command: [a]\n    timeout: 5s\n", want: ":3:5: handlers.x.command: unknown field; it belongs under exec; allowed: exec, http, builtin, retry, retain, timeout"},
	{name: "url without http", file: "handlers: {x: {url: \"http://h\"}}\n", want: ":1:16: handlers.x.url: unknown field; it belongs under http; allowed: exec, http, builtin, retry, retain, timeout"},
	{name: "exec beside the kind", file: "handlers:\n  x:\n  exec:\n    command: [a]\n    timeout: 5s\n", want: ":3:3: handlers.exec: stands beside the handlers, where only their names may; indent it below a kind"},
	{name: "exec and retry beside the kind", file: "handlers:\n  x:\n  exec: &e {command: [a]}\n  retry: {base: 1s}\n  builtin: log\n", want: ":3:3: handlers.exec: stands beside the handlers, where only their names may; indent it below a kind\n" +
		":4:3: handlers.retry: stands beside the handlers, where only their names may; indent it below a kind\n" +
		":5:3: handlers.builtin: stands beside the handlers, where only their names may; indent it below a kind"},
	{name: "weight beside the queue", file: good + "queues:\n  a:\n  weight: 6\n", want: ":4:3: queues.weight: stands beside the queues, where only their names may; indent it below a queue"},
	{name: "empty command", file: "handlers: {x: {exec: {command: []}}}\n", want: ":1:32: handlers.x.exec.command: is empty; such as command: [./job, --json]"},
	{name: "empty program", file: "handlers: {x: {exec: {command: ['']}}}\n", want: ":1:33: handlers.x.exec.command[0]: is empty; it names the program, such as ./job", beyond: true},
	{name: "argument without value", file: "handlers: {x: {exec: {command: [sh, ~]}}}\n", want: ":1:37: handlers.x.exec.command[1]: nothing stands where a text is wanted; such as [./job, --json]"},
	{name: "environment without =", file: "handlers: {x: {exec: {command: [a], env: [MODE]}}}\n", want: ":1:43: handlers.x.exec.env[0]: is not NAME=value with a name of A-Z a-z 0-9 _; such as MODE=fast", beyond: true},
	{name: "environment as mapping", file: "handlers: {x: {exec: {command: [a], env: {MODE: fast}}}}\n", want: ":1:42: handlers.x.exec.env: a mapping is no list; such as [MODE=fast]"},
	{name: "the worker's own variable", file: "handlers: {x: {exec: {command: [a], env: [TIDEMILL_JOB_ID=1]}}}\n", want: ":1:43: handlers.x.exec.env[0]: TIDEMILL_JOB_ID is set by the worker itself; choose another name", beyond: true},
	{name: "pass_env with a value", file: "handlers: {x: {exec: {command: [a], pass_env: [\"A=b\"]}}}\n", want: `:1:48: handlers.x.exec.pass_env[0]: "A=..." is no name of a variable; such as EDITOR (env sets one: NAME=value)`, beyond: true},

	{name: "no url", file: "handlers: {x: {http: {}}}\n", want: ":1:22: handlers.x.http.url: is missing; such as url: https://app.internal/hooks"},
	{name: "url without scheme, and no secret file", file: "handlers: {x: {http: {url: app.internal/hooks, secret_file: nope}}}\n",
		want: ":1:28: handlers.x.http.url: \"app.internal/hooks\" lacks http:// or https://; did you mean https://app.internal/hooks?\n" +
			":1:61: handlers.x.http.secret_file: /etc/tm/nope cannot be read: file does not exist", beyond: true},
	{name: "url of a variable without scheme", file: "handlers: {x: {http: {url: \"${SPY}.internal/hooks\"}}}\n", want: ":1:28: handlers.x.http.url: lacks http:// or https://; such as https://app.internal/hooks", beyond: true},
	{name: "no secret file", file: "handlers: {x: {http: {url: \"http://h\", secret_file: nope}}}\n", want: ":1:53: handlers.x.http.secret_file: /etc/tm/nope cannot be read: file does not exist", beyond: true},
	{name: "empty secret file", file: "handlers: {x: {http: {url: \"http://h\", secret_file: empty}}}\n", want: ":1:53: handlers.x.http.secret_file: /etc/tm/empty is empty", beyond: true},
	{name: "secret twice", file: "handlers: {x: {http: {url: \"http://h\", secret: a, secret_file: pw}}}\n", want: ":1:64: handlers.x.http.secret_file: stands beside secret; allowed: one of them", beyond: true},
	{name: "private addresses", file: "handlers: {x: {http: {url: \"http://h\", private_addresses: maybe}}}\n", want: `:1:59: handlers.x.http.private_addresses: "maybe" is not known; allowed: allow, deny`},

	{name: "cap below base", file: "handlers: {x: {builtin: log, retry: {base: 2s, cap: 1s}}}\n", want: ":1:53: handlers.x.retry.cap: the cap (1s) is less than the base (2s)", beyond: true},
	{name: "base above the default cap", file: "handlers: {x: {builtin: log, retry: {base: 12h}}}\n", want: ":1:44: handlers.x.retry.base: the cap (6h0m0s) is less than the base (12h0m0s)", beyond: true},
	{name: "jitter and factor", file: "handlers: {x: {builtin: log, retry: {jitter: 3, factor: 0.5}}}\n", want: ":1:46: handlers.x.retry.jitter: 3 is out of range; allowed: 0 to 1\n:1:57: handlers.x.retry.factor: 0.5 is out of range; allowed: 1 to 1000"},
	{name: "no attempts", file: "handlers: {x: {builtin: log, retry: {max_attempts: 0}}}\n", want: ":1:52: handlers.x.retry.max_attempts: 0 is out of range; allowed: 1 to 10000"},

	{name: "variable not set", file: good + "concurrency: ${NOPE}\n", want: ":2:14: concurrency: the variable NOPE is not set; set it, or write ${NOPE:-default}", beyond: true},
	{name: "variable with a bad value", file: "handlers: {x: {builtin: log}}\nconcurrency: ${WORD}\n", want: ":2:14: concurrency: \"${WORD}\" is no whole number; allowed: 1 to 1000000", beyond: true},
	{name: "what a variable held is not told", file: good + "log: {level: \"${SPY}\"}\n", want: ":2:14: log.level: \"${SPY}\" is not known; allowed: debug, info, warn, error", beyond: true},
	{name: "default with a variable", file: good + "redis: ${URL:-redis://${HOST}:6379}/0\n", want: ":2:8: redis: the default of URL holds a ${, and a default is plain text; allowed: ${NAME}, ${NAME:-default}, and $$ for a dollar sign", beyond: true},
	{name: "secret in pass_env", file: "handlers: {x: {exec: {command: [a], pass_env: [\"TOKEN=${SPY}\", \"${SPY} \"]}}}\n",
		want: `:1:48: handlers.x.exec.pass_env[0]: "TOKEN=..." is no name of a variable; such as EDITOR (env sets one: NAME=value)` + "\n" +
			`:1:64: handlers.x.exec.pass_env[1]: what it holds is no name of a variable; such as EDITOR (env sets one: NAME=value)`, beyond: true},
	{name: "secret for a file's name", file: "handlers: {x: {http: {url: \"http://h\", secret_file: \"${SPY}\"}}}\n", want: ":1:53: handlers.x.http.secret_file: the file that its variable names cannot be read: file does not exist", beyond: true},
	{name: "secret for a variable's name", file: "handlers: {x: {exec: {command: [a], env: [\"TIDEMILL_${SPY}=1\"]}}}\n", want: ":1:43: handlers.x.exec.env[0]: a name that begins with TIDEMILL_ is set by the worker itself; choose another name", beyond: true},
	{name: "dollar alone", file: good + "redis: $HOME\n", want: ":2:8: redis: a $ stands alone; allowed: ${NAME}, ${NAME:-default}, and $$ for a dollar sign", beyond: true},
	{name: "variable's name", file: good + "redis: ${A-b}\n", want: `:2:8: redis: "${A-b}" is no name of a variable; allowed: ${NAME}, ${NAME:-default}, and $$ for a dollar sign`, beyond: true},
	{name: "brace not closed", file: good + "redis: ${A\n", want: `:2:8: redis: "${A" has no closing brace; allowed: ${NAME}, ${NAME:-default}, and $$ for a dollar sign`, beyond: true},

	{name: "redis without scheme", file: good + "redis: 127.0.0.1:6379\n", want: ":2:8: redis: has no \"://\"; such as redis://127.0.0.1:6379/0", beyond: true},
	{name: "redis field", file: good + "redis: {urll: x}\n", want: ":2:9: redis.urll: unknown field; did you mean url? allowed: url, url_file, username, password, password_file, tls, read_from"},
	{name: "redis without url", file: good + "redis: {username: x}\n", want: ":2:8: redis.url: is missing; such as url: redis://127.0.0.1:6379/0", beyond: true},
	{name: "redis two passwords", file: good + "redis: {url: \"redis://u:hunter2@h\", password: hunter2}\n", want: ":2:14: redis.url: holds a user or password, and username or password stand beside it; allowed: one place", beyond: true},
	{name: "redis tls", file: good + "redis: {url: \"redis://h\", tls: {server_name: h}}\n", want: ":2:32: redis.tls: goes with rediss:// only, and the URL begins redis://", beyond: true},
	{name: "redis half a certificate", file: good + "redis: {url: \"rediss://h\", tls: {cert_file: ca.pem}}\n", want: ":2:33: redis.tls: cert_file and key_file belong together; give both or none", beyond: true},
	{name: "redis password file", file: good + "redis:\n  url: redis://h\n  password_file: nul\n", want: ":4:18: redis.password_file: /etc/tm/nul is no text", beyond: true},
	{name: "redis url and file", file: good + "redis: {url: \"redis://h\", url_file: url}\n", want: ":2:37: redis.url_file: stands beside url; allowed: one of them", beyond: true},

	{name: "all at once, in order", file: "concurency: 1\nhandlers:\n  x: {builtin: lag}\n  y: {exec: {command: []}}\nsession_ttl: 5\n",
		want: ":1:1: concurency: unknown field; did you mean concurrency? " + top + "\n" +
			":3:16: handlers.x.builtin: \"lag\" is not known; did you mean log? allowed: log, noop, sleep, fail\n" +
			":4:23: handlers.y.exec.command: is empty; such as command: [./job, --json]\n" +
			":5:14: session_ttl: 5 has no unit; write such as 5s"},
}

func TestBadFiles(t *testing.T) {
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse(text(tt.file))
			var faults Faults
			if !errors.As(err, &faults) || f != nil {
				t.Fatalf("file %+v, error %v", f, err)
			}
			var want []string
			for _, line := range strings.Split(tt.want, "\n") {
				want = append(want, "worker.yaml"+line)
			}
			if got := err.Error(); got != strings.Join(want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
			}
			for _, secret := range []string{"hunter2", "s3cret"} {
				if strings.Contains(err.Error(), secret) {
					t.Error("it tells a secret")
				}
			}
		})
	}
}

// A file with faults everywhere is told with the first of them only.
func TestManyFaults(t *testing.T) {
	var file strings.Builder
	for i := range 60 {
		fmt.Fprintf(&file, "x%d: 1\n", i)
	}
	_, err := Parse(text(file.String()))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != maxFaults+1 || lines[maxFaults] != "worker.yaml: and 11 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}
