import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Sends large bodies by HttpClient to a server that refuses them, and counts the statuses that were read.
 *
 * <p>Usage: java Client.java BASE TRIES SIZE... -- STATUS...
 */
class Client {
    public static void main(String[] args) throws Exception {
        String base = args[0];
        int tries = Integer.parseInt(args[1]);
        List<String> rest = Arrays.asList(args).subList(2, args.length);
        int split = rest.indexOf("--");
        HttpClient client = HttpClient.newBuilder().sslContext(trustAll()).build();
        int read = 0;
        for (String size : rest.subList(0, split)) {
            byte[] body = new byte[Integer.parseInt(size)];
            for (String status : rest.subList(split + 1, rest.size())) {
                for (int attempt = 0; attempt < tries; attempt++) {
                    String failure = send(client, base + "/" + status, body, status.split("-")[0]);
                    if (failure == null) {
                        read++;
                    } else {
                        System.out.printf("%s bytes, %s, try %d: %s%n", size, status, attempt, failure);
                    }
                }
            }
        }
        System.out.println("read " + read);
    }

    /** The server's certificate is made for the test. */
    private static SSLContext trustAll() throws Exception {
        TrustManager trusting = new X509ExtendedTrustManager() {
            public void checkClientTrusted(X509Certificate[] chain, String type) {}

            public void checkServerTrusted(X509Certificate[] chain, String type) {}

            public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

            public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

            public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

            public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

            public X509Certificate[] getAcceptedIssuers() {
                return new X509Certificate[0];
            }
        };
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {trusting}, null);
        return context;
    }

    private static String send(HttpClient client, String url, byte[] body, String want) {
        try {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                    .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
            int have = client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
            return want.equals(String.valueOf(have)) ? null : "status " + have;
        } catch (Exception e) {
            return e.toString();
        }
    }
}
