package serve

import "net/http"

func (s *Server) inference(mux *http.ServeMux) {}
