//! How a replica stands for leadership.

use std::time::Duration;

use crate::{
    api::certificate_request::duration,
    leader::{Election, LONGEST},
};

#[derive(Debug, clap::Args)]
pub(crate) struct ElectionArgs {
    /// Act only while holding the lease "tandem-issuer": of several replicas one leads, and the others follow with warm
    /// caches [default: true in a pod, else and with --kubeconfig false]
    ///
    /// Without it the issuer acts at once and beside any other. Two that act at the same time, because one of them has no
    /// lease or another one, give no request two certificates, but write the same statuses in turns where they do not
    /// agree, such as with different --cluster-resource-namespace.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,

    /// The namespace of the lease [default: the one that the issuer runs in]
    ///
    /// All replicas need the same, and issuers that serve different namespaces a different one: one lease, one leader.
    /// Rights: create leases there; get, list, watch and patch this one.
    #[arg(long, value_name = "NAMESPACE")]
    leader_election_namespace: Option<String>,

    /// How long the lease lasts after it was renewed last: whole seconds. A leader that dies is followed when it has ended.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = whole_seconds)]
    leader_election_lease_duration: Duration,

    /// How long the leader acts without its renewal being confirmed; less than the lease lasts, by what a write may take.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = whole_seconds)]
    leader_election_renew_deadline: Duration,

    /// How often the leader renews the lease; less than the renew deadline.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = whole_seconds)]
    leader_election_retry_period: Duration,
}

impl ElectionArgs {
    /// What is wrong with the arguments, beyond each by itself.
    pub(super) fn problem(&self) -> Option<String> {
        let (lease, deadline, period) = (
            self.leader_election_lease_duration,
            self.leader_election_renew_deadline,
            self.leader_election_retry_period,
        );
        (period >= deadline || deadline >= lease).then(|| {
            format!(
                "--leader-election-retry-period ({period:?}) must be less than --leader-election-renew-deadline \
                 ({deadline:?}), and that less than --leader-election-lease-duration ({lease:?})"
            )
        })
    }

    /// How this replica stands for leadership, if it does; `own` is the namespace that it runs in, perhaps as a pod.
    pub(super) fn election(&self, own: &str, in_pod: bool) -> Option<Election> {
        self.leader_elect.unwrap_or(in_pod).then(|| Election {
            namespace: self.leader_election_namespace.as_deref().unwrap_or(own).to_owned(),
            lease_duration: self.leader_election_lease_duration,
            renew_deadline: self.leader_election_renew_deadline,
            retry_period: self.leader_election_retry_period,
        })
    }
}

/// A duration as Go writes it, of at least a second and at most an hour: a lease is counted in seconds.
fn whole_seconds(text: &str) -> Result<Duration, &'static str> {
    let duration = duration(text).and_then(|duration| Duration::try_from(duration).ok());
    let whole =
        |duration: &Duration| duration.subsec_nanos() == 0 && (1..=LONGEST.as_secs()).contains(&duration.as_secs());
    duration.filter(whole).ok_or("it takes whole seconds, such as 15s or 1m30s, at most 1h")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn run(arguments: &str) -> Result<ElectionArgs, clap::Error> {
        let words = format!("tandem-issuer run {arguments}");
        match Args::try_parse_from(words.split_whitespace())?.command {
            Command::Run(run) => Ok(run.leader),
            other => panic!("{other:?}"),
        }
    }

    /// By hand nobody has to give rights on leases, or to wait for one; in a pod it is on without a word.
    #[test]
    fn by_hand_it_acts_at_once_and_says_so_where_it_stands_for_leadership() {
        let namespace = |arguments: &str, in_pod| {
            run(arguments).unwrap().election("own", in_pod).map(|election| election.namespace)
        };
        for (arguments, by_hand, in_pod) in [
            ("", None, Some("own")),
            ("--leader-elect=false", None, None),
            ("--leader-elect", Some("own"), Some("own")),
            ("--leader-elect=true --leader-election-namespace there", Some("there"), Some("there")),
        ] {
            assert_eq!(namespace(arguments, false).as_deref(), by_hand, "{arguments}");
            assert_eq!(namespace(arguments, true).as_deref(), in_pod, "{arguments}");
        }
    }

    #[test]
    fn a_lease_lasts_longer_than_its_holder_acts_unconfirmed_and_that_longer_than_a_period() {
        assert_eq!(run("").unwrap().problem(), None);
        assert_eq!(run("--leader-election-lease-duration 1m30s").unwrap().problem(), None);
        for wrong in ["--leader-election-lease-duration 10s", "--leader-election-renew-deadline 2s"] {
            let problem = run(wrong).unwrap().problem().unwrap();
            assert!(problem.contains("must be less than --leader-election-renew-deadline"), "{problem}");
        }
        for wrong in ["0s", "-5s", "1500ms", "15", "soon", "2h"] {
            let error = run(&format!("--leader-election-lease-duration={wrong}")).unwrap_err().to_string();
            assert!(error.contains("whole seconds, such as 15s"), "{error}");
        }
    }
}
