import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** What java.util.Properties takes out of files: as read_configparser.py, with [name, value] and in no order. */
class ReadProperties {
    static String json(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            json.append(String.format("\\u%04x", (int) c));
        }
        return json.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        String paths = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        for (String path : paths.split("\0")) {
            Properties properties = new Properties();
            try (var reader = Files.newBufferedReader(Path.of(path), StandardCharsets.UTF_8)) {
                properties.load(reader);
            } catch (IllegalArgumentException refused) {
                System.out.println("null");
                continue;
            }
            StringBuilder line = new StringBuilder("[");
            for (String name : properties.stringPropertyNames()) {
                line.append(line.length() > 1 ? "," : "");
                line.append('[').append(json(name)).append(',').append(json(properties.getProperty(name))).append(']');
            }
            System.out.println(line.append(']'));
        }
    }
}
