package connection

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// frame returns a frame whose payload is zeros.
func frame(kind, flags byte, stream uint32, length int) []byte {
	header := binary.BigEndian.AppendUint32(nil, uint32(length)<<8|uint32(kind))
	header = append(header, flags)
	return append(binary.BigEndian.AppendUint32(header, stream), make([]byte, length)...)
}

// The types of frames that only tests name.
const (
	framePriority = 2
	frameSettings = 4
	framePing     = 6
	frameUnknown  = 99
)

func repeat(n int, frames ...[]byte) []byte { return bytes.Repeat(bytes.Join(frames, nil), n) }

func TestFrames(t *testing.T) {
	limits := DefaultConfig().HTTP2
	request := frame(frameHeaders, flagEndHeaders, 1, 20)
	data := frame(frameData, 0, 1, 100)
	open := frame(frameHeaders, 0, 1, 20)
	more := frame(frameContinuation, 0, 1, 0)
	burst := int(limits.Controls.Burst)
	for name, test := range map[string]struct {
		sent []byte // after the preface
		want error
	}{
		"nothing":                   {nil, nil},
		"requests":                  {repeat(5000, request, data, frame(frameData, flagEndStream, 1, 0)), nil},
		"a ping a request":          {repeat(5000, request, frame(framePing, 0, 0, 8)), nil},
		"a ping an answer of gRPC":  {repeat(5000, data, frame(framePing, 0, 0, 8)), nil},
		"resets of every third":     {repeat(5000, request, request, request, frame(frameReset, 0, 1, 4)), nil},
		"windows":                   {repeat(5000, request, repeat(16, frame(frameWindowUpdate, 0, 0, 4))), nil},
		"as many pings as allowed":  {repeat(burst, frame(framePing, 0, 0, 8)), nil},
		"one ping more":             {repeat(burst+1, frame(framePing, 0, 0, 8)), errFlood},
		"settings":                  {repeat(burst+1, frame(frameSettings, 0, 0, 0)), errFlood},
		"priorities":                {repeat(burst+1, frame(framePriority, 0, 1, 5)), errFlood},
		"unknown frames":            {repeat(burst+1, frame(frameUnknown, 0, 1, 5)), errFlood},
		"empty data":                {repeat(burst+1, frame(frameData, 0, 1, 0)), errFlood},
		"padding":                   {repeat(burst+1, frame(frameData, flagPadded, 1, 256)), errFlood},
		"window updates":            {repeat(10_001, frame(frameWindowUpdate, 0, 0, 4)), errFlood},
		"rapid resets":              {repeat(2001, request, frame(frameReset, 0, 1, 4)), errFlood},
		"32 continuations":          {append(open, repeat(32, more)...), nil},
		"33 continuations":          {append(open, repeat(33, more)...), errContinuations},
		"continuations of requests": {repeat(100, open, more, frame(frameContinuation, flagEndHeaders, 1, 9)), nil},
	} {
		now := time.Now() // stands still
		sent := append([]byte(preface), test.sent...)
		whole := newFrames(&limits)
		if err := whole.feed(sent, now); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		parts := newFrames(&limits)
		var err error
		for rest := sent; len(rest) > 0 && err == nil; {
			n := min(1+rand.IntN(30), len(rest))
			err, rest = parts.feed(rest[:n], now), rest[n:]
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s, in parts: %v, want %v", name, err, test.want)
		}
	}
}

// TestFramesOverTime checks that a client may go on for ever at the allowed rate.
func TestFramesOverTime(t *testing.T) {
	limits := DefaultConfig().HTTP2
	f := newFrames(&limits)
	now := time.Now()
	ping := frame(framePing, 0, 0, 8)
	if err := f.feed([]byte(preface), now); err != nil {
		t.Fatal(err)
	}
	for second := range 1000 {
		now = now.Add(time.Second)
		if err := f.feed(repeat(int(limits.Controls.PerSecond), ping), now); err != nil {
			t.Fatalf("after %d seconds: %v", second, err)
		}
	}
	if err := f.feed(repeat(int(limits.Controls.Burst)+1, ping), now); !errors.Is(err, errFlood) {
		t.Errorf("a burst: %v", err)
	}
}

func TestIncompleteFrames(t *testing.T) {
	limits := DefaultConfig().HTTP2
	ended, open := frame(frameHeaders, flagEndHeaders, 1, 9), frame(frameHeaders, 0, 1, 9)
	more, last := frame(frameContinuation, 0, 1, 9), frame(frameContinuation, flagEndHeaders, 1, 9)
	end := frame(frameContinuation, flagEndHeaders, 1, 0)
	for name, test := range map[string]struct {
		sent []byte // after the preface
		want bool
	}{
		"nothing":                            {nil, false},
		"a part of a header":                 {ended[:2], true},
		"a header of HEADERS":                {ended[:9], true},
		"a part of HEADERS":                  {ended[:12], true},
		"HEADERS":                            {ended, false},
		"HEADERS without an end":             {open, true},
		"a part of DATA":                     {frame(frameData, 0, 1, 100)[:50], false},
		"a part of PING":                     {frame(framePing, 0, 0, 8)[:12], true},
		"HEADERS and a CONTINUATION":         {slices.Concat(open, more), true},
		"HEADERS and the last CONTINUATION":  {slices.Concat(open, more, last), false},
		"an empty frame that ends the block": {slices.Concat(open, end), false},
	} {
		f := newFrames(&limits)
		if err := f.feed(append([]byte(preface), test.sent...), time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if have := f.incomplete(); have != test.want {
			t.Errorf("%s: incomplete is %v", name, have)
		}
	}
}

func TestFramesOfHTTP1(t *testing.T) {
	limits := DefaultConfig().HTTP2
	f := newFrames(&limits)
	err := f.feed([]byte("PRI / HTTP/1.1\r\nHost: x\r\n"), time.Now())
	if err != nil || !f.other || f.incomplete() {
		t.Errorf("%v, %+v", err, f)
	}
}

// FuzzFrames checks that the way in which bytes arrive changes nothing.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), byte(1))
	f.Add(append([]byte(preface), frame(frameHeaders, 0, 1, 30)...), byte(7))
	f.Add(append([]byte(preface), repeat(40, frame(frameHeaders, 0, 1, 0))...), byte(9))
	f.Fuzz(func(t *testing.T, sent []byte, step byte) {
		limits := HTTP2{MaxContinuations: 3, Resets: Rate{Burst: 3}, Windows: Rate{Burst: 3}, Controls: Rate{Burst: 3}}
		now := time.Now()
		whole, parts := newFrames(&limits), newFrames(&limits)
		want := whole.feed(sent, now)
		var err error
		for rest := sent; len(rest) > 0 && err == nil; {
			n := min(1+int(step), len(rest))
			err, rest = parts.feed(rest[:n], now), rest[n:]
		}
		if !errors.Is(err, want) || err == nil && (whole.incomplete() != parts.incomplete() ||
			whole.units != parts.units || whole.other != parts.other) {
			t.Errorf("%v and %v, %+v and %+v", want, err, whole, parts)
		}
	})
}
