import com.amazonaws.services.dynamodbv2.local.server.DynamoDBProxyServer;
import com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBRequestHandler;
import com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBServerHandler;
import java.net.InetSocketAddress;
import org.eclipse.jetty.server.Server;

/** Amazon's local DynamoDB on loopback; its own main program listens on all addresses. Arguments: port, and a folder for what is to be kept. */
public final class Loopback {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        String folder = arguments.length > 1 ? arguments[1] : null;
        LocalDynamoDBRequestHandler requests =
            new LocalDynamoDBRequestHandler(0, folder == null, folder, true, false);
        LocalDynamoDBServerHandler handler = new LocalDynamoDBServerHandler(requests, null);
        Server server = new Server(new InetSocketAddress("127.0.0.1", port));
        server.setHandler(new DynamoDBProxyServer(0, handler).setUpHandler(handler));
        server.start();
        server.join();
    }
}
