//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// apiKey is the key of the second service.
const apiKey = "a-key-of-the-soak-test"

// eventually waits until a condition holds, for at most 10 seconds, and records whether it came to hold.
func (s *soak) eventually(ctx context.Context, f fault, outcome string, holds func() (bool, string)) {
	for began := time.Now(); ; pause(ctx, 50*time.Millisecond) {
		ok, state := holds()
		if ctx.Err() != nil {
			return
		}
		if late := time.Since(began) > 10*time.Second; ok || late {
			s.add(f.name, outcome, ok, "not within 10 seconds; "+state)
			return
		}
	}
}

// publish puts a version into the folder of models, by a rename.
func (s *soak) publish(number int, data []byte) error {
	folder := s.path("models", "clothing", strconv.Itoa(number))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	part := s.path("part")
	if err := os.WriteFile(part, data, 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(folder, "model.safetensors"))
}

// publishAndRemove publishes a good version, a broken one, one that is copied slowly and one of which only
// half is copied, and removes each, the good ones while they are in use.
func (s *soak) publishAndRemove(ctx context.Context, f fault) {
	broken := bytes.Clone(s.model)
	broken[len(broken)/2] ^= 1
	for _, step := range []struct {
		name   string
		write  func() error
		active int
	}{
		{"published", func() error { return s.publish(2, s.model) }, 2},
		{"broken", func() error { return s.publish(3, broken) }, 2},
		{"half-copied", func() error { return s.publish(4, s.model[:len(s.model)/2]) }, 2},
		{"copied slowly", func() error { return s.copySlowly(ctx, 5) }, 5},
	} {
		if err := step.write(); err != nil {
			s.add(f.name, "not published", ctx.Err() != nil, err.Error())
			return
		}
		pause(ctx, 1500*time.Millisecond) // three checks of the folder
		s.eventually(ctx, f, step.name, func() (bool, string) { return s.isActive(step.active) })
	}
	for number := 5; number >= 2; number-- {
		if err := os.RemoveAll(s.path("models", "clothing", strconv.Itoa(number))); err != nil {
			s.add(f.name, "not removed", ctx.Err() != nil, err.Error())
		}
	}
	s.eventually(ctx, f, "removed", func() (bool, string) { return s.isActive(1) })
}

// isActive reports whether a version of the model answers, and which do.
func (s *soak) isActive(version int) (bool, string) {
	metrics, err := s.service.readMetrics()
	if err != nil {
		return false, err.Error()
	}
	var active []string
	for name := range metrics {
		if strings.HasPrefix(name, "garb_model_info{") {
			active = append(active, name)
		}
	}
	return slices.ContainsFunc(active, func(name string) bool {
		return strings.Contains(name, fmt.Sprintf(`version="%d"`, version))
	}), fmt.Sprint(active)
}

// copySlowly publishes a version in ten parts, with pauses between them.
func (s *soak) copySlowly(ctx context.Context, number int) error {
	folder := s.path("models", "clothing", strconv.Itoa(number))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		return err
	}
	defer f.Close()
	for piece := range slices.Chunk(s.model, len(s.model)/10+1) {
		if _, err := f.Write(piece); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// reloadConfig gives the first service good and bad configuration files, each with SIGHUP.
func (s *soak) reloadConfig(ctx context.Context, f fault) {
	for _, step := range []struct {
		name, text    string
		queue, failed float64
	}{
		{"good: queue 96", "queue: 96\n", 96, 0},
		{"bad: unknown setting", "queue: 200\nno-such-setting: 1\n", 96, 1},
		{"bad: no YAML", "queue: [", 96, 1},
		{"good: queue 64", "queue: 64\n", 64, 0},
	} {
		if err := replaceFile(s.path("garb.yaml"), []byte(step.text)); err != nil {
			s.add(f.name, "not written", false, err.Error())
			return
		}
		if err := s.service.command.Process.Signal(syscall.SIGHUP); err != nil {
			s.add(f.name, "no signal", ctx.Err() != nil, err.Error())
			return
		}
		s.eventually(ctx, f, step.name, func() (bool, string) {
			m, err := s.service.readMetrics()
			queue, failed := m["garb_queue_limit"], m[`garb_reload_failed{file="config"}`]
			return err == nil && queue == step.queue && failed == step.failed,
				fmt.Sprintf("queue %v, failed %v, %v", queue, failed, err)
		})
		pause(ctx, 500*time.Millisecond)
	}
}

// replaceFile replaces a file in one step.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// changeKeys empties, removes and restores the file of keys. The first request after the time that the
// guide states has to get the status that it states.
func (s *soak) changeKeys(ctx context.Context, f fault) {
	keys := s.path("keys")
	for _, step := range []struct {
		name   string
		change func() error
		status int
	}{
		{"emptied: 401", func() error { return replaceFile(keys, nil) }, http.StatusUnauthorized},
		{"restored: 200", func() error { return replaceFile(keys, []byte(apiKey+"\n")) }, http.StatusOK},
		{"removed: 503", func() error { return os.Remove(keys) }, http.StatusServiceUnavailable},
		{"restored: 200", func() error { return replaceFile(keys, []byte(apiKey+"\n")) }, http.StatusOK},
	} {
		if err := step.change(); err != nil {
			s.add(f.name, "not changed", false, err.Error())
			return
		}
		s.eventually(ctx, f, step.name, func() (bool, string) {
			status, _, err := s.askGuarded(ctx, f)
			return status == step.status, fmt.Sprintf("status %d, %v", status, err)
		})
	}
}

// askGuarded sends the photo to the second service, with the key. It returns the status and the serial
// number of the certificate.
func (s *soak) askGuarded(ctx context.Context, f fault) (status int, serial *big.Int, err error) {
	client := newClient(f.from, false)
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // the certificate is compared by its serial number
		VerifyConnection: func(state tls.ConnectionState) error {
			serial = state.PeerCertificates[0].SerialNumber
			return nil
		},
	}
	defer client.CloseIdleConnections()
	status, _, err = post(ctx, client, "https://"+s.guarded.host+"/v1/classify", s.photo,
		map[string]string{"Authorization": "Bearer " + apiKey})
	return status, serial, err
}

// writeCertificate writes a new certificate and its key for the second service.
func (s *soak) writeCertificate() (serial *big.Int, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if serial, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	err = replaceFile(s.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if err == nil {
		err = replaceFile(s.path("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	}
	return serial, err
}

// changeCertificate replaces the certificate, which has to take effect, and then breaks it, which must not.
func (s *soak) changeCertificate(ctx context.Context, f fault) {
	serial, err := s.writeCertificate()
	if err != nil {
		s.add(f.name, "not written", false, err.Error())
		return
	}
	serves := func() (bool, string) {
		_, served, failure := s.askGuarded(ctx, f)
		return served != nil && served.Cmp(serial) == 0, fmt.Sprint(failure)
	}
	s.eventually(ctx, f, "replaced", serves)
	if err = replaceFile(s.path("cert.pem"), []byte("no certificate")); err != nil {
		s.add(f.name, "not written", false, err.Error())
		return
	}
	s.eventually(ctx, f, "broken, reported", func() (bool, string) {
		m, failure := s.guarded.readMetrics()
		return m[`garb_reload_failed{file="certificate"}`] == 1, fmt.Sprint(failure)
	})
	if ok, state := serves(); ctx.Err() == nil {
		s.add(f.name, "broken, the old one stays", ok, state)
	}
}

// fillDisk fills the disk on which the second service's log is. It has to answer as before, and to count
// the lines that are lost.
func (s *soak) fillDisk(ctx context.Context, f fault) {
	before, err := s.guarded.readMetrics()
	if err != nil {
		s.add(f.name, "no metrics", ctx.Err() != nil, err.Error())
		return
	}
	filler := s.path("disk", "filler")
	defer os.Remove(filler)
	if err := os.WriteFile(filler, make([]byte, 8<<20), 0o600); err == nil {
		s.add(f.name, "not full", false, "the disk took 8 MB")
		return
	}
	s.eventually(ctx, f, "lost lines counted", func() (bool, string) {
		status, _, err := s.askGuarded(ctx, f) // writes a line
		if err != nil && ctx.Err() == nil {
			s.add(f.name, "no answer", false, err.Error())
		} else if err == nil {
			s.add(f.name, strconv.Itoa(status), slices.Contains([]int{200, 401, 503}, status), "")
		}
		m, err := s.guarded.readMetrics()
		return m["garb_log_errors_total"] > before["garb_log_errors_total"], fmt.Sprint(err)
	})
}
