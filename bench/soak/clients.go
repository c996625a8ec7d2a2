//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// load sends one request after another and expects the right answer to each. Clients differ: most keep a
// connection, of HTTP/1.1 or HTTP/2, and some open a new one for each request.
func (s *soak) load(ctx context.Context, number int) {
	name, client := "photo, HTTP/1.1", newClient(honestAddress, false)
	switch number % 4 {
	case 1:
		name, client = "photo, HTTP/2", newClient(honestAddress, true)
	case 2:
		name, client = "photo, a new connection each", newClient(otherAddress, false)
		client.Transport.(*http.Transport).DisableKeepAlives = true
	}
	if s.stopping {
		name = "while stopping: " + name
	}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		began := time.Now()
		status, text, err := s.classify(ctx, client, nil)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && s.stopping && status == 0:
			s.add(name, "no answer", true, "")
			pause(ctx, 10*time.Millisecond)
		case err != nil:
			s.add(name, "no answer", false, err.Error())
		case status == http.StatusServiceUnavailable && s.stopping:
			s.add(name, "503", true, "")
		case status == http.StatusOK && cutPredictions(text) != s.answer:
			s.add(name, "another answer", false, text)
		default:
			s.add(name, strconv.Itoa(status), status == http.StatusOK, text)
			s.mu.Lock()
			s.latencies = append(s.latencies, float64(time.Since(began).Microseconds())/1000)
			s.mu.Unlock()
		}
	}
}

// expect posts a body to the first service, from an address, and checks that the status is one of wants.
func (s *soak) expect(ctx context.Context, what, from string, body []byte, header map[string]string, wants ...int,
) {
	client := newClient(from, false)
	defer client.CloseIdleConnections()
	status, text, err := post(ctx, client, "http://"+s.service.host+"/v1/classify", body, header)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.add(what, "no answer", false, err.Error())
	default:
		s.add(what, strconv.Itoa(status), slices.Contains(wants, status), text)
	}
}

// sendCutPhoto sends the first part of a picture.
func (s *soak) sendCutPhoto(ctx context.Context, f fault) {
	cut := s.photo[:2+rand.IntN(len(s.photo)-2)]
	s.expect(ctx, f.name, f.from, cut, nil, 200, 400, 422)
}

// sendNoPicture sends bodies that are no pictures.
func (s *soak) sendNoPicture(ctx context.Context, f fault) {
	s.expect(ctx, f.name, f.from, []byte("no picture"), nil, 400)
	s.expect(ctx, f.name, f.from, []byte("--x--"),
		map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, 400)
}

// leave sends a request and does not wait for the answer.
func (s *soak) leave(ctx context.Context, f fault) {
	short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(10_000))*time.Microsecond)
	defer cancel()
	client := newClient(f.from, rand.IntN(2) == 0)
	defer client.CloseIdleConnections()
	status, text, err := s.classify(short, client, nil)
	if err != nil {
		s.add(f.name, "left", true, "")
		return
	}
	s.add(f.name, strconv.Itoa(status), status == http.StatusOK, text)
}

// hurry sends a request with a deadline that is usually too short.
func (s *soak) hurry(ctx context.Context, f fault) {
	s.expect(ctx, f.name, f.from, s.photo, map[string]string{"X-Request-Timeout": "3ms"}, 200, 504)
}

// sendLargeMessage sends gRPC messages that are larger than the service takes: one that comes whole, which gets
// the status RESOURCE_EXHAUSTED, and one that is announced and ends early, which gets INVALID_ARGUMENT.
func (s *soak) sendLargeMessage(ctx context.Context, f fault) {
	client := newClient(f.from, true)
	defer client.CloseIdleConnections()
	whole := make([]byte, 5+40<<20)
	copy(whole, []byte{0, 2, 0x80, 0, 0})
	for _, message := range []struct {
		body []byte
		want string
	}{{whole, "8"}, {[]byte{0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, "3"}} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost,
			"http://"+s.service.host+"/inference.GRPCInferenceService/ModelInfer", bytes.NewReader(message.body))
		if err != nil {
			s.add(f.name, "no request", false, err.Error())
			return
		}
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		answer, err := client.Do(r)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.add(f.name, "no answer", false, err.Error())
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body) // the trailers come after the body
		_ = answer.Body.Close()
		status := answer.Header.Get("Grpc-Status") + answer.Trailer.Get("Grpc-Status")
		s.add(f.name, "gRPC status "+status, status == message.want, fmt.Sprint(answer.Status, answer.Trailer))
	}
}

// drawPhoto returns a JPEG of 400 × 533 pixels.
func drawPhoto() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 400, 533))
	random := rand.New(rand.NewPCG(7, 7))
	for y := range 533 {
		for x := range 400 {
			grey := uint8(200 - x/4 + random.IntN(8))
			if x > 120 && x < 280 && y > 100 && y < 450 || y > 100 && y < 200 && x > 60 && x < 340 {
				grey = uint8(40 + random.IntN(8))
			}
			m.SetRGBA(x, y, color.RGBA{grey, grey / 2, 90, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 80}); err != nil {
		panic(err) // cannot happen with a valid picture
	}
	return b.Bytes()
}
