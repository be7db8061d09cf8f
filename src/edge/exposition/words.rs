//! The fixed lists that labels are taken from.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The whole list.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word, as the label says it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

words! {
    /// How an environment stands, as `status` says it.
    State {
        /// The tip opens nothing, and the standing release is proven.
        Current "current",
        /// A candidate waits by itself.
        Waiting "waiting",
        /// From opened until proven, failed or superseded.
        Settling "settling",
        /// The candidate is refused.
        Refused "refused",
        /// The candidate needs a person.
        Held "held",
        /// The standing release is not healthy.
        Failed "failed",
        /// The agent cannot look, write, or trust its own log.
        Blocked "blocked",
    }
}

words! {
    /// How a walk ended.
    Walked {
        /// The candidate's inputs are those of the standing release.
        Unchanged "unchanged",
        /// Every gate admitted it.
        Admitted "admitted",
        /// It waits by itself.
        Waiting "waiting",
        /// It is refused.
        Refused "refused",
        /// It needs a person.
        Held "held",
        /// Something could not be read.
        Unreachable "unreachable",
        /// It panicked, and is started again.
        Panicked "panicked",
    }
}

words! {
    /// How the apply of one object ended.
    Applied {
        /// The server took it.
        Done "done",
        /// Another manager owns a field.
        Conflict "conflict",
        /// The server refused it for what it is.
        Denied "denied",
        /// Nobody answered, or not now.
        Retry "retry",
    }
}

words! {
    /// A step of the walk.
    Step {
        /// From what woke the agent until it looks.
        Wake "wake",
        /// New commits come into the mirror.
        Fetch "fetch",
        /// History, signatures, inputs.
        Verify "verify",
        /// Inputs become objects.
        Render "render",
        /// Images become digests.
        Resolve "resolve",
        /// Live objects are read.
        Observe "observe",
        /// What would change.
        Plan "plan",
        /// All gates.
        Admit "admit",
        /// The `opened` entry becomes durable.
        Open "open",
        /// Writing the objects.
        Apply "apply",
        /// Until every object is healthy.
        Settle "settle",
        /// Deleting what the release no longer names.
        Prune "prune",
        /// The `settled` entry.
        Record "record",
        /// Checks and soak, until the outcome stands.
        Prove "prove",
    }
}

words! {
    /// What was asked of the repository.
    GitOperation {
        /// The list of references.
        LsRemote "ls-remote",
        /// Commits that are not in the mirror yet.
        Fetch "fetch",
        /// Entries of the deployment log, or a revert.
        Push "push",
    }
}
