package tensorflow

import (
	"fmt"
	"net/http"
	"strings"

	"garb/serve/registry"
	"garb/serve/request"
)

// registerModels registers the list of all models, which KServe's version 1 protocol has, and the paths
// that name a version by its label.
func (h *Handler) registerModels(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/models", h.backend.ProtocolHandler(h.modelNames))
	mux.HandleFunc("GET /v1/models/{model}/labels/{version}", h.backend.ProtocolHandler(requireLabel(h.modelStatus)))
	mux.HandleFunc("GET /v1/models/{model}/labels/{version}/metadata",
		h.backend.ProtocolHandler(requireLabel(h.modelSignature)))
	mux.HandleFunc("POST /v1/models/{model}/labels/{version}", h.backend.ProtocolHandler(requireLabel(h.call)))
	mux.HandleFunc("/v1/models/{model}/labels/{version}", refuseMethod)
}

func (h *Handler) modelNames(w http.ResponseWriter, _ *http.Request) error {
	names := []string{}
	for _, v := range h.backend.Models.List() {
		names = append(names, v.Name)
	}
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]any{"models": names})
	return nil
}

// requireLabel returns a handler that refuses numbers of versions in the place of labels.
func requireLabel(next func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := checkLabel(r.PathValue("version")); err != nil {
			return err
		}
		return next(w, r)
	}
}

// checkLabel refuses what cannot be a label of a version: a number, or nothing.
func checkLabel(label string) error {
	if strings.Trim(label[:min(1, len(label))], "0123456789") == "" {
		return fmt.Errorf("%w: %.20q is not a label", registry.ErrNoModel, label)
	}
	return nil
}
