import com.sun.net.httpserver.HttpServer;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;

/** A web server and its client, by Java's standard library. Its sockets are of IPv6, for both families. */
public final class Both {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("server")) {
            server();
        } else {
            client();
        }
    }

    private static String env(String name) {
        return System.getenv(name);
    }

    private static String hash(byte[] b) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(b));
    }

    private static void server() throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(env("HOST"), Integer.parseInt(env("PORT"))), 100);
        server.createContext("/", exchange -> {
            try (exchange) {
                byte[] answer = (exchange.getRequestURI() + " " + hash(exchange.getRequestBody().readAllBytes())).getBytes();
                exchange.sendResponseHeaders(200, answer.length);
                exchange.getResponseBody().write(answer);
            } catch (Exception e) {
                throw new java.io.IOException(e);
            }
        });
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
        System.out.println("listening");
    }

    private static void client() throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        byte[] body = new byte[2 << 20];
        new Random(1).nextBytes(body);
        String want = hash(body);
        List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            boolean large = i % 50 == 0;
            HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + env("AT") + "/" + i))
                    .POST(HttpRequest.BodyPublishers.ofByteArray(large ? body : new byte[0])).build();
            answers.add(client.sendAsync(request, HttpResponse.BodyHandlers.ofString()));
        }
        for (int i = 0; i < 100; i++) {
            String expected = "/" + i + " " + (i % 50 == 0 ? want : hash(new byte[0]));
            if (!answers.get(i).get().body().equals(expected)) {
                throw new AssertionError(answers.get(i).get().body() + ", want " + expected);
            }
        }
        URI closed = URI.create("http://" + env("AT").replace(":" + env("PORT"), ":" + env("CLOSED")) + "/");
        try {
            client.sendAsync(HttpRequest.newBuilder(closed).build(), HttpResponse.BodyHandlers.ofString()).get();
            throw new AssertionError("a closed port answered");
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof ConnectException)) {
                throw e;
            }
        }
        System.out.println("all as it must be");
        System.exit(0);
    }
}
