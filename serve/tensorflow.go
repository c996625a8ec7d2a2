package serve

import "net/http"

func (s *Server) tensorFlow(mux *http.ServeMux) {}
