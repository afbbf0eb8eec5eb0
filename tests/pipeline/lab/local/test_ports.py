import socket
import threading

from pipeline.lab.local.ports import HOST, free_ports, is_free, kafka_answers


def test_free_ports_are_different_free_and_below_those_of_outgoing_connections():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) and port < 32768 for port in ports)


def test_a_port_that_somebody_listens_on_is_not_free():
    with socket.create_server((HOST, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_closed_port_does_not_answer():
    (port,) = free_ports()
    assert not kafka_answers(port)


def test_a_server_that_sends_the_request_back_is_no_kafka():
    with socket.create_server((HOST, 0)) as server:

        def echo():
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(1024))

        thread = threading.Thread(target=echo)
        thread.start()
        assert not kafka_answers(server.getsockname()[1])
        thread.join()


def test_a_server_that_hangs_up_is_no_kafka():
    with socket.create_server((HOST, 0)) as server:

        def hang_up():
            connection, _ = server.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert not kafka_answers(server.getsockname()[1])
        thread.join()
