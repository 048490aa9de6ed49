/*
 * Holds a pod's namespaces open: sleeps until told to stop, and meanwhile collects children that lost their parent.
 * Any argument makes it end at once, which kubeadm's check before an upgrade needs.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(int count, char **words)
{
    sigset_t signals;
    int number = 0;

    (void)words;
    if (count > 1)
        return 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    while (sigwait(&signals, &number) == 0 && number == SIGCHLD)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    return 0;
}
