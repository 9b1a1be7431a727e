/* What GLib's GKeyFile takes out of files: one JSON value a line for each path of standard input, null where it
   refuses the file, else [[group, key, value or null], …]. */
#include <glib.h>
#include <stdio.h>
#include <string.h>

static void text(const char *bytes) {
    putchar('"');
    for (const char *at = bytes; *at;) {
        gunichar c = g_utf8_get_char_validated(at, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            printf("\\ufffd");
            at++;
            continue;
        }
        if (c > 0xffff) {
            c -= 0x10000;
            printf("\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
        } else {
            printf("\\u%04x", c);
        }
        at = g_utf8_next_char(at);
    }
    putchar('"');
}

int main(void) {
    static char paths[1 << 22];
    size_t length = fread(paths, 1, sizeof paths - 1, stdin);
    for (char *path = paths; path < paths + length; path += strlen(path) + 1) {
        GKeyFile *file = g_key_file_new();
        if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL)) {
            printf("null\n");
            g_key_file_free(file);
            continue;
        }
        const char *comma = "";
        putchar('[');
        char **groups = g_key_file_get_groups(file, NULL);
        for (char **group = groups; *group; group++) {
            char **keys = g_key_file_get_keys(file, *group, NULL, NULL);
            for (char **key = keys; key && *key; key++) {
                GError *error = NULL;
                char *value = g_key_file_get_string(file, *group, *key, &error);
                printf("%s[", comma);
                comma = ",";
                text(*group);
                putchar(',');
                text(*key);
                putchar(',');
                if (error)
                    printf("null");
                else
                    text(value);
                putchar(']');
                g_clear_error(&error);
                g_free(value);
            }
            g_strfreev(keys);
        }
        g_strfreev(groups);
        puts("]");
        g_key_file_free(file);
    }
    return 0;
}
