import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import org.yaml.snakeyaml.reader.UnicodeReader;

/** What SnakeYAML's SafeConstructor takes out of files: as read_pyyaml.py. */
@SuppressWarnings("deprecation")
class ReadYaml {
    static String json(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            json.append(String.format("\\u%04x", (int) c));
        }
        return json.append('"').toString();
    }

    static String scalar(String type, String text) {
        return "[" + json(type) + "," + json(text) + "]";
    }

    static String shown(Object value) {
        if (value == null) {
            return scalar("null", "");
        } else if (value instanceof Boolean) {
            return scalar("bool", value.toString());
        } else if (value instanceof Integer || value instanceof Long || value instanceof java.math.BigInteger) {
            return scalar("int", value.toString());
        } else if (value instanceof Number) {
            return scalar("float", "");
        } else if (value instanceof String) {
            return scalar("text", (String) value);
        } else if (value instanceof java.util.Date) {
            return scalar("time", "");
        } else if (value instanceof List<?> list) {
            List<String> shown = new ArrayList<>();
            for (Object one : list) {
                shown.add(shown(one));
            }
            return "{\"list\":[" + String.join(",", shown) + "]}";
        } else if (value instanceof Map<?, ?> map) {
            List<String> shown = new ArrayList<>();
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                shown.add("[" + shown(entry.getKey()) + "," + shown(entry.getValue()) + "]");
            }
            return "{\"map\":[" + String.join(",", shown) + "]}";
        }
        return scalar("other", "");
    }

    public static void main(String[] arguments) throws Exception {
        String paths = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        for (String path : paths.split("\0")) {
            try (InputStream file = Files.newInputStream(Path.of(path))) {
                Object value = new Yaml(new SafeConstructor()).load(new UnicodeReader(file));
                System.out.println("{\"yaml\":" + shown(value) + "}");
            } catch (RuntimeException | StackOverflowError refused) {
                System.out.println("null");
            }
        }
    }
}
