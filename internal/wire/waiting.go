package wire

import "encoding/binary"

// PeekBytes are so many that the times in them stand within, of an envelope or record that this program wrote.
const PeekBytes = 1024

// WaitingSince answers since when a job that is ready waits (ms): its last due time, or when it was created. 0 is not
// known: a job that was dead before and redriven does not say when that was. It is enough to know how the envelope and
// the record begin (PeekBytes).
func WaitingSince(envelope, record []byte) int64 {
	var s State
	if len(record) >= stateHead && record[0] != 0 && record[0] <= Version {
		for r := (reader{b: record[stateHead:]}); r.next(); {
			switch r.field {
			case fieldFinished:
				s.FinishedAt = r.number
			case fieldDue:
				s.DueAt = r.number
			}
		}
	}
	var e Envelope
	if len(envelope) >= headMin && envelope[0] != 0 && envelope[0] <= Version {
		for r := (reader{b: envelope[min(int(binary.BigEndian.Uint16(envelope[3:])), len(envelope)):]}); r.next(); {
			switch r.field {
			case fieldCreatedAt:
				e.CreatedAt = r.number
			case fieldDueAt:
				e.DueAt = r.number
			}
		}
	}
	return s.WaitingSince(&e)
}

// WaitingSince is the same for a job that was read.
func (s *State) WaitingSince(e *Envelope) int64 {
	switch {
	case s.DueAt > 0:
		return s.DueAt
	case s.FinishedAt > 0:
		return 0
	case e.DueAt > 0:
		return e.DueAt
	}
	return e.CreatedAt
}
