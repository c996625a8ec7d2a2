package queue

import (
	"encoding/json"
	"testing"
)

// FuzzBatch parses messages of the log.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		`{"pictures":[{"name":"a","index":0},{"name":"b","version":"1","index":1}],"dir":"/x"}`,
		`{"pictures":[{"name":"a","index":3}],"of":7,"attempt":1}`, `{"pictures":[]}`, `{"of":1}`, `[`,
		`{"pictures":[{"index":4096}]}`, `{"pictures":[{"index":-1}]}`, `{"pictures":[{"index":1},{"index":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBatch(data)
		if err != nil {
			return
		}
		seen := map[int]bool{}
		for i, e := range b.Pictures {
			if e.Index < 0 || e.Index >= maxBatch || seen[e.Index] {
				t.Errorf("index %d", e.Index)
			}
			seen[e.Index] = true
			b.picture(i).key()
		}
		if len(seen) == 0 || len(seen) > maxBatch || b.Attempt < 0 {
			t.Errorf("%d pictures, attempt %d", len(seen), b.Attempt)
		}
	})
}

// FuzzResult parses messages with rows.
func FuzzResult(f *testing.F) {
	for _, seed := range []string{
		`{"rows":[{"picture":"a","index":0,"line":{}}]}`, `{"rows":[{"picture":"a","index":0,"vector":"AACAPw=="}]}`,
		`{"writer":"w","parts":2}`, `{"parts":99999999}`, `{"writer":"w"}`, `{"writer":"a.b","parts":1}`,
		`{"rows":[{"index":5},{"index":2}]}`, `{"rows":[{"index":-5}]}`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseResult(data)
		if err != nil {
			return
		}
		if r.Parts < 0 || r.Parts > maxBatch || r.Parts > 0 && !writerName.MatchString(r.Writer) {
			t.Errorf("%d parts of %q", r.Parts, r.Writer)
		}
		for i, row := range r.Rows {
			if row.Index < 0 || row.Index >= maxBatch || i > 0 && row.Index <= r.Rows[i-1].Index {
				t.Errorf("row %d has index %d", i, row.Index)
			}
			if _, err := json.Marshal(row); err != nil {
				t.Error(err)
			}
			_, _ = row.Result() //nolint:errcheck // it must not panic
		}
	})
}
