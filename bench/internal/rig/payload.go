package rig

import (
	"strings"
	"time"
)

// Payload is the argument of every job and the data of every message: 5 fields, about 200 bytes of JSON.
type Payload struct {
	UserID  int64  `json:"user_id"`
	Email   string `json:"email"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
	TS      int64  `json:"ts"`
}

// body makes the encoded payload about 200 bytes long.
var body = strings.Repeat("x", 90)

// NewPayload is the payload of job or message i.
func NewPayload(i int) Payload {
	return Payload{
		UserID:  int64(i),
		Email:   "someone@example.com",
		Subject: "Welcome to the service",
		Body:    body,
		TS:      time.Now().UnixNano(),
	}
}

// Sized is a payload that takes about so many bytes of JSON, 150 at least, as its body is longer or shorter.
func Sized(i, size int) Payload {
	p := NewPayload(i)
	p.Body = strings.Repeat("x", max(0, size-withoutBody))
	return p
}

// withoutBody is what the other fields take, with numbers of 5 digits.
const withoutBody = 117

// JobKind is the name of the one kind of job there is.
const JobKind = "mail.send"

// Kind makes the payload the arguments of a job, for the systems that ask for it.
func (Payload) Kind() string { return JobKind }
