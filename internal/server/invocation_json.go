package server

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// invocationJSON is what json.Marshal makes of an invocation. One that is finished
// seldom has more than what is written here without reflection, in a third of the
// time.
func invocationJSON(i api.Invocation) ([]byte, error) {
	if i.Caller != nil || i.Waits != nil || i.Due != nil || i.Failure != nil || i.Ended == nil {
		return json.Marshal(i)
	}
	j := jsonWriter{plain: true}
	j.Grow(256 + len(i.Worker) + len(i.Key) + len(i.Function) + len(i.Args) + len(i.Result))
	j.text(`{"worker":"`, i.Worker)
	j.text(`","key":"`, i.Key)
	j.text(`","function":"`, i.Function)
	j.value(`","args":`, i.Args)
	j.text(`,"state":"`, string(i.State))
	j.number(`","index":`, i.Index)
	j.time(`,"accepted":"`, i.Accepted)
	j.number(`","attempts":`, i.Attempts)
	j.time(`,"ended":"`, *i.Ended)
	j.value(`","result":`, i.Result)
	if i.From > 0 {
		j.number(`,"from":`, i.From)
	}
	if i.To > 0 {
		j.number(`,"to":`, i.To)
	}
	j.WriteByte('}')
	if !j.plain {
		return json.Marshal(i)
	}
	return j.Bytes(), nil
}

// jsonWriter writes values behind what comes before them.
type jsonWriter struct {
	bytes.Buffer
	plain bool // nothing was other in JSON than it is, or wrong
}

func (j *jsonWriter) text(before, s string) {
	j.WriteString(before)
	j.WriteString(s)
	for k := range len(s) {
		c := s[k]
		j.plain = j.plain && ' ' <= c && c <= '~' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
}

func (j *jsonWriter) number(before string, n uint64) {
	j.WriteString(before)
	j.Write(strconv.AppendUint(j.AvailableBuffer(), n, 10))
}

func (j *jsonWriter) time(before string, t time.Time) {
	j.WriteString(before)
	text, err := t.AppendText(j.AvailableBuffer())
	j.Write(text)
	j.plain = j.plain && err == nil
}

func (j *jsonWriter) value(before string, v json.RawMessage) {
	j.WriteString(before)
	j.plain = j.plain && !bytes.ContainsAny(v, "<>&") && !bytes.Contains(v, lineSeparators) && json.Compact(&j.Buffer, v) == nil
}

// lineSeparators begin what json.Marshal escapes because JavaScript took it for the
// end of a line.
var lineSeparators = []byte("\xe2\x80")
