package serve

import (
	"net/http"

	"garb/serve/reload"
	"garb/serve/request"
)

// handleLive handles GET /healthz: the process responds.
func (s *Server) handleLive(w http.ResponseWriter, _ *http.Request) {
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]string{"status": "ok"})
}

// fileStates returns the states of the files of API keys and TLS.
func (s *Server) fileStates() []reload.State {
	states := []reload.State{}
	if keys, ok := s.backend.Keys().State(); ok {
		states = append(states, keys)
	}
	if s.tls != nil {
		states = append(states, s.tls.State())
	}
	return states
}

// handleReady handles GET /readyz: the service accepts requests. With ?verbose the answer also has the states
// of files, even if the service is not ready.
func (s *Server) handleReady(w http.ResponseWriter, r *http.Request) {
	err, verbose := s.backend.Ready(), r.URL.Query().Has("verbose")
	if err != nil && !verbose {
		request.WriteError(w, r, err)
		return
	}
	versions := map[string]int{}
	for _, v := range s.backend.Models.List() {
		versions[v.Name] = v.Number
	}
	status, answer := http.StatusOK, map[string]any{"status": "ready", "models": versions}
	if err != nil {
		status, answer["status"] = request.Status(err)
	}
	if verbose {
		answer["files"] = s.fileStates()
	}
	request.WriteJSON(w, "application/json", status, answer)
}
