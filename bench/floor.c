/* The lowest cost of a probe: connect, TLS handshake with verification, and the dialogue, one after another.
 *
 * floor PORT CA_FILE COUNT prints the seconds of CPU of a probe that ends after the handshake, then of a whole one.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Read until the text has arrived. */
static void expect(SSL *ssl, const char *text) {
    char received[4096];
    int length = 0;
    do {
        int more = SSL_read(ssl, received + length, sizeof received - 1 - length);
        if (more <= 0) fail("SSL_read");
        length += more;
        received[length] = 0;
    } while (!strstr(received, text));
}

static void say(SSL *ssl, const char *text) {
    if (SSL_write(ssl, text, strlen(text)) <= 0) fail("SSL_write");
}

static void probe(SSL_CTX *context, struct sockaddr_in *address, int whole) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)address, sizeof *address)) fail("connect");
    SSL *ssl = SSL_new(context);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set1_host(ssl, "localhost");
    SSL_set_fd(ssl, connection);
    if (SSL_connect(ssl) != 1) fail("SSL_connect");
    if (whole) {
        expect(ssl, "* OK");
        say(ssl, "a1 CAPABILITY\r\n");
        expect(ssl, "a1 OK");
        say(ssl, "bye LOGOUT\r\n");
        expect(ssl, "bye OK");
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(connection);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, argv[2], NULL) != 1) fail("CA file");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int count = atoi(argv[3]);
    for (int whole = 0; whole < 2; whole++) {
        for (int i = 0; i < 10; i++) probe(context, &address, whole);
        double before = cpu();
        for (int i = 0; i < count; i++) probe(context, &address, whole);
        printf("%.9f\n", (cpu() - before) / count);
    }
    return 0;
}
