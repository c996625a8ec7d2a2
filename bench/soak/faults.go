//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// fault is something that clients or operators do wrong, or that happens to the machine.
type fault struct {
	name string
	gap  time.Duration // between two tries
	try  func(ctx context.Context, f fault)
	from string // the address of its connections
}

// listFaults returns all faults, each with an address of its own.
func (s *soak) listFaults() []fault {
	faults := []fault{
		{name: "cut photo", gap: 50 * time.Millisecond, try: s.sendCutPhoto},
		{name: "no picture", gap: 50 * time.Millisecond, try: s.sendNoPicture},
		{name: "client that goes away", gap: 50 * time.Millisecond, try: s.leave},
		{name: "deadline of 3 ms", gap: 50 * time.Millisecond, try: s.hurry},
		{name: "half a body", gap: 200 * time.Millisecond, try: s.sendHalfBody},
		{name: "slow header (slowloris)", gap: 100 * time.Millisecond, try: s.sendHeaderSlowly},
		{name: "slow body, X-Request-Timeout 1s", gap: 100 * time.Millisecond, try: s.sendBodySlowly},
		{name: "refused upload, 6 MB", gap: 500 * time.Millisecond, try: s.uploadRefused(6_000_000)},
		{name: "refused upload, 40 MB", gap: 2 * time.Second, try: s.uploadRefused(40_000_000)},
		{name: "1,100 idle connections", gap: 3 * time.Second, try: s.holdIdle},
		{name: "10,000 silent connections", gap: 5 * time.Second, try: s.holdSilent},
		{name: "HTTP/2 rapid reset", gap: time.Second, try: s.resetRapidly},
		{name: "HTTP/2 PING flood", gap: time.Second, try: s.floodPing},
		{name: "HTTP/2 SETTINGS flood", gap: time.Second, try: s.floodSettings},
		{name: "HTTP/2 endless CONTINUATION", gap: time.Second, try: s.continueForever},
		{name: "HPACK bomb", gap: time.Second, try: s.sendHeaderBomb},
		{name: "gRPC message over the limit", gap: 2 * time.Second, try: s.sendLargeMessage},
		{name: "versions published and removed", gap: time.Second, try: s.publishAndRemove},
		{name: "SIGHUP, good and bad configuration", gap: time.Second, try: s.reloadConfig},
		{name: "key file emptied, removed, restored", gap: time.Second, try: s.changeKeys},
		{name: "certificate replaced, broken", gap: time.Second, try: s.changeCertificate},
		{name: "full disk for the log", gap: time.Second, try: s.fillDisk},
	}
	for i := range faults {
		faults[i].from = fmt.Sprintf("127.0.1.%d", i+1)
	}
	return faults
}

// startFaults tries each fault again and again until ctx ends. The function that it returns waits for that.
func (s *soak) startFaults(ctx context.Context) (wait func()) {
	var group sync.WaitGroup
	for _, f := range s.listFaults() {
		if s.isSkipped(f.name) {
			continue
		}
		group.Go(func() {
			for ctx.Err() == nil {
				f.try(ctx, f)
				pause(ctx, f.gap)
			}
		})
	}
	return group.Wait
}
