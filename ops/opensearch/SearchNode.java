import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.rankeval.RankEvalPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.script.expression.ExpressionPlugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node with the modules that search needs, as a process: the argument is its configuration folder.
 *
 * The distribution's own start (its folder layout, native calls and refusal of root) is not in the Maven artifacts and
 * not wanted here: the node listens on the loopback address only, and its process ends with the one that started it.
 */
final class SearchNode extends Node {
    private static final long CLOSE_TIMEOUT_SECONDS = 15;
    private static final List<Class<? extends Plugin>> MODULES = List.of(
        CommonAnalysisPlugin.class,
        ExpressionPlugin.class,
        MapperExtrasPlugin.class,
        Netty4Plugin.class,
        PainlessPlugin.class,
        RankEvalPlugin.class,
        ReindexPlugin.class);

    private SearchNode(Environment environment) {
        super(environment, MODULES, false);
    }

    public static void main(String[] arguments) throws Exception {
        Path configuration = Path.of(arguments[0]);
        Settings home = Settings.builder().put("path.home", configuration.getParent().toString()).build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(home, Map.of(), configuration, () -> "counterfoil");
        try (SearchNode node = new SearchNode(environment)) {
            Thread main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
            node.start();
            main.join(); // for ever: SIGTERM runs the hook
        }
    }

    private static void close(SearchNode node) {
        try {
            node.close();
            node.awaitClose(CLOSE_TIMEOUT_SECONDS, TimeUnit.SECONDS);
        } catch (Exception exception) {
            exception.printStackTrace();
        }
    }
}
